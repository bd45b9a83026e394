r"""Requests whose values are right and whose text is odd: it has to arrive as it was written.

Numbers that no double holds, escapes that have a shorter form, white space in every place, keys in disguise.
"""

from __future__ import annotations

from dataclasses import replace

from tests.transparency.shape import asking
from tests.transparency.shapes.chat_requests import SAYS, raw

_PLANES = (
    "A\u00e9\u03a9\u0416\u05d0\u0639\u0939\u4e2d\ud55c\ue000\ufdd0\ufffd\ufeff"
    "\U00010348\U0001f468\u200d\U0001f469\U00020000\U000e0041\U0010ffff"
)
_USER = b'"messages":[{"role":"user","content":"Hi"}]'

TEXTS = (
    raw("all-planes", b'{"model":"@MODEL@","messages":[{"role":"user","content":"' + _PLANES.encode() + b'"}]}'),
    raw(
        "escapes",
        rb'{"model":"@MODEL@","messages":[{"role":"user","content":"\u0041\u00e9\ud83d\ude42\uD83D\uDE42\/\b\f\n\r\t\"'
        rb'\\ \u0000 \u2028 \u007f"}]}',
    ),
    raw("control-characters-beside", b'{"model":"@MODEL@",' + _USER + b',"x":"\x7f\xc2\x80\xc2\x85\xe2\x80\xa8"}'),
    raw(
        "numbers",
        b'{"model":"@MODEL@",'
        + _USER
        + b',"seed":9223372036854775808,"a":-9223372036854775809,"b":18446744073709551616,'
        b'"c":1.10,"d":-0.0,"e":-0,"f":1E+2,"g":1e-400,"h":0.1000000000000000055511151231257827,"i":1.0,'
        b'"j":123456789012345678901234567890,"k":5e-324,"temperature":1.10}',
    ),
    raw("numbers-beyond", b'{"model":"@MODEL@",' + _USER + b',"a":1e400,"b":[-1e400],"c":{"d":1E999}}'),
    raw(
        "spaces",
        b' \r\n\t{ \t"model"\n:\r\n "@MODEL@" , "messages" :[ { "role" : "user" ,"content": " Hi " }\t]\n,"n"\r:\r1 ,'
        b'"metadata":{ "a" :\t"b" } }\n\n ',
    ),
    replace(raw("in-chunks", asking(messages=SAYS, x="\u00e9" * 5000)), chunk_bytes=777),
    raw("model-last", b'{\n  "messages": [{"role": "user", "content": "Hi"}],\n  "model": "@MODEL@"\n}'),
    raw("model-in-the-middle", b'{"a":{"model":"inner"},"model":"@MODEL@",' + _USER + b',"b":"\\"model\\":\\"x\\""}'),
    raw(
        "keys-in-disguise",
        rb'{"mod\u0065l":"@MODEL@","m\u0065ssages":[{"r\u006fle":"user","content":"Hi"}],"\u00e4":1}',
    ),
    raw(
        "odd-keys",
        '{"model":"@MODEL@","":0," ":1,"\U0001f600":2,"a.b":3,"\\n":4,"__proto__":{},"'.encode()
        + b"k" * 2000
        + b'":5,'
        + _USER
        + b"}",
    ),
    raw("inner-keys-twice", b'{"model":"@MODEL@",' + _USER + b',"x":{"a":1,"a":2,"A":3}}'),
    raw("empty-things", b'{"model":"@MODEL@",' + _USER + b',"a":{},"b":[],"c":"","d":[[]],"e":[{}],"f":{ },"g":[ ]}'),
)
