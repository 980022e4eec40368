"""The estimator that a command's options ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.tjnet.estimator import Estimator

if TYPE_CHECKING:
    import argparse


def estimator_of(
    args: argparse.Namespace, *, views: int | None = None, heatmap: str = "fine"
) -> Estimator:
    """Return the estimator of ``--weights``, ``--device`` and, where a command has them, more.

    Parameters
    ----------
    args : Namespace
        Parsed options; of ``views``, ``calibration`` and ``no_gate`` a command may lack some.
    views : int, optional
        Instead of ``--views``.
    heatmap : str
        See `models.tjnet.heatmap`.

    Raises
    ------
    WeightsError, ValueError
        As `models.tjnet.estimator.Estimator`.
    """
    return Estimator(
        args.weights,
        args.device,
        views=getattr(args, "views", 1) if views is None else views,
        calibration=getattr(args, "calibration", None),
        heatmap=heatmap,
        gate=None if getattr(args, "no_gate", False) else "shipped",
    )
