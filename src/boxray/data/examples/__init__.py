"""The example radiographs that the project ships: composites, and nobody's film.

Method. The films of one finding, one per person, are laid on one canvas by their lungs, brought to one
exposure, and registered to a common template, first affinely, then densely, so that ribs lie on ribs. Then
they are blended scale by scale. Coarse shades are their mean. Of fine detail the mean would leave nothing,
so at every place several films share it in proportions drawn at random, and what is left is raised to the
strength that detail has in films. Inside the place of the finding only films have a say that show it there;
outside of it, only where they show nothing. Letters, wires and pacemakers have no say anywhere. At last the
body gets a shape of its own from a statistical model of the films' shapes, a tone, and grain.

What remains of a film. At no place and no scale more than `WEIGHT_LIMIT`; and the composite's own detail
correlates with that of each film, both taken relative to what the other films have in common, as `Made` says
(1 would be the film itself, films that did not take part give about 0). Positions are those of the mean
shape, moved. Headers are invented. So no person can be recognised, and none of these pictures may be taken for
a person's; they are for research and demonstration only.

Licences. `cardiomegaly`, `effusion`, `no_finding` and `refused` come from the NIH set alone, which is free
to use with citation. `tuberculosis` comes from TBX11K and `covid19` from SIIM and NIH: non-commercial. Lung boxes
of the set `covid_lungs` only guide the alignment; no pixel of it is used.
"""

from boxray.data.examples.blend import WEIGHT_LIMIT
from boxray.data.examples.make import EXAMPLES, Example, Made, make_examples

__all__ = ["EXAMPLES", "WEIGHT_LIMIT", "Example", "Made", "make_examples"]
