from __future__ import annotations

import tomllib

import pytest

from gateway.simulate.config import simulation
from gateway.simulate.stories import BASE, STORIES, Story, base_simulation, candidate_simulation


@pytest.mark.parametrize("story", STORIES.values(), ids=list(STORIES))
def test_a_storys_models_are_simulations(story: Story):
    for text in (base_simulation(), candidate_simulation(story)):
        assert len(simulation(tomllib.loads(text), source="the story").models) == 1


def test_a_candidate_differs_in_what_its_story_is_about_and_in_nothing_else():
    told = {name: story.candidate for name, story in STORIES.items()}

    assert told["equal"] == BASE
    assert (told["slow"].slower, told["slow"].errors, told["slow"].quality) == (1.5, BASE.errors, BASE.quality)
    assert (told["failing"].slower, told["failing"].quality) == (BASE.slower, BASE.quality)
    assert told["failing"].errors == pytest.approx(3 * BASE.errors)
    assert (told["unhappy"].slower, told["unhappy"].errors) == (BASE.slower, BASE.errors)
    assert told["unhappy"].quality < BASE.quality
