from __future__ import annotations

import io
import wave

from gateway.simulate.sound import RATE, blocks


def test_a_wav_says_what_it_is_and_how_long():
    with wave.open(io.BytesIO(b"".join(blocks("wav", 50)))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (RATE, 1, 2)
        assert sound.getnframes() == RATE // 2
        assert len(set(sound.readframes(100))) > 10


def test_pcm_is_the_same_without_a_header():
    assert b"".join(blocks("wav", 3))[44:] == b"".join(blocks("pcm", 3))


def test_an_mp3_is_a_row_of_frames():
    made = blocks("mp3", 3)

    assert [block[:2] for block in made] == [b"\xff\xfb"] * 3
    assert {len(block) for block in made} == {417}
    assert len(blocks("mp3", 0)) == 1
