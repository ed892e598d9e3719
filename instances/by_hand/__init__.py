"""What a person does on a rescued machine without the panel: steps with commands, goal by goal.

Pure but for the words: which device is what (``place``), what one does with it (``goals``,
``system``), and the way there and back (``recipe``).
"""

from instances.by_hand.place import Place, place_of
from instances.by_hand.recipe import GOALS, Goal, recipe
from instances.by_hand.steps import Facts, Step

__all__ = ["GOALS", "Facts", "Goal", "Place", "Step", "place_of", "recipe"]
