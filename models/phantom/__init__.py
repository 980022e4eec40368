"""A synthetic hand radiograph by sex and age, for demonstrations and tests; of no patient.

It is a drawing, not a simulation of a person: bones are outlines with a cortex and a trabecular
core, soft tissue is a union of capsules, and the grey level is linear in the path length, as in
a logarithmic detector. Anatomy is written once for an adult, in units of about a millimetre, and
scaled: a child differs by what is ossified, by proportions and by its place in the frame.

Sources, all rounded to approximate textbook values and good for a drawing only:

* appearance of the centres: medians after Garn, Rohmann and Silverman, "Radiographic standards
  for postnatal ossification and tooth calcification", Medical Radiography and Photography 43
  (1967) 45-66; the pisiform after Greulich and Pyle;
* fusion, in the order distal phalanges, proximal and middle ones, metacarpals, ulna, radius:
  after Greulich and Pyle, "Radiographic Atlas of Skeletal Development of the Hand and Wrist",
  2nd ed. (Stanford University Press, 1959);
* the stages of an epiphysis, from a dot to as wide as the metaphysis, to capping, to fusing:
  Tanner et al., "Assessment of Skeletal Maturity and Prediction of Adult Height" (1975);
* lengths of the adult bones: after Garn, Hertzog, Poznanski and Nagy, "Metacarpophalangeal
  length in the evaluation of skeletal malformation", Radiology 105 (1972) 375-381;
* hand length by age: after Snyder et al., "Anthropometry of Infants, Children, and Youths to
  Age 18 for Product Safety Design", UM-HSRI-77-17 (1977).

Widths, outlines, grey levels and the ages of full width were set by eye and by measurement on
hand radiographs, and against what a network in training made of the drawings: an estimate of a
phantom tests that the parts work together, never how accurate they are.
"""

from __future__ import annotations

from models.phantom.letters import LABEL
from models.phantom.maturity import CENTRES, OLDEST_MONTHS, Centre, ossified_centres
from models.phantom.picture import (
    HIGHEST_VALUE,
    LARGEST_SIDE_PX,
    MOST_ASPECT,
    SMALLEST_SIDE_PX,
    draw_phantom,
    save_phantom,
)

__all__ = [
    "CENTRES",
    "HIGHEST_VALUE",
    "LABEL",
    "LARGEST_SIDE_PX",
    "MOST_ASPECT",
    "OLDEST_MONTHS",
    "SMALLEST_SIDE_PX",
    "Centre",
    "draw_phantom",
    "ossified_centres",
    "save_phantom",
]
