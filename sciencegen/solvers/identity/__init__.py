"""What is the same in another run: a case by its values, a solver by its code and all that the code refers to."""

from sciencegen.solvers.identity.digest import digest
from sciencegen.solvers.identity.walk import identity

__all__ = ["digest", "identity"]
