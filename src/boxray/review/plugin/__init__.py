"""boxray's plugin for FiftyOne: verdicts on the film that is open, with the reviewer's name and reason.

FiftyOne loads this file by itself, out of the folder that `boxray.review.database.lay_plugins` has laid. Operators are
reached by the keyboard: the key left of 1 (`) opens the list, some letters of the name choose, Enter does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import fiftyone.operators as foo
from fiftyone.operators import types

from boxray.core.errors import BoxrayError
from boxray.core.findings import LabelSpace, Presence
from boxray.review import fields as names
from boxray.review import verdicts


def _space(ctx: Any) -> LabelSpace | None:
    about = ctx.dataset.info.get("label_space") if ctx.dataset is not None else None
    return None if about is None else LabelSpace.from_mapping(about)


def _sample(ctx: Any) -> Any:
    chosen = ctx.current_sample or next(iter(ctx.selected or ()), None)
    return None if chosen is None else ctx.dataset[chosen]


class _Verdict(foo.Operator):  # type: ignore[misc]  # FiftyOne has no types
    """Asks for finding, reviewer and reason, does one thing to the open film, and shows it."""

    NAME: ClassVar[str]
    LABEL: ClassVar[str]
    ICON: ClassVar[str]

    @property
    def config(self) -> Any:
        return foo.OperatorConfig(name=self.NAME, label=self.LABEL, icon=self.ICON, dynamic=True)

    def findings(self, sample: Any, space: LabelSpace) -> list[str]:
        """The findings that it can be done to, the likeliest first."""
        del sample
        return list(space.keys)

    def ask_more(self, inputs: Any) -> None:
        """Anything else that must be known."""

    def act(self, sample: Any, params: dict[str, Any], ctx: Any) -> str:
        """Do it, and say what was done."""
        raise NotImplementedError

    def resolve_input(self, ctx: Any) -> Any:
        inputs = types.Object()
        space, sample = _space(ctx), None if ctx.dataset is None else _sample(ctx)
        if space is None or sample is None:
            inputs.view("nothing", types.Warning(label="Open a film, or choose one, of a data set of boxray."))
            return types.Property(inputs, view=types.View(label=self.LABEL))
        there = self.findings(sample, space)
        choices = types.Dropdown()
        for key in there:
            state = sample[f"{names.PRESENCE}{key}"]
            choices.add_choice(key, label=f"{space[key].display} ({state.label if state else 'unknown'})")
        inputs.enum(
            "finding", choices.values(), label="Finding", required=True, view=choices, default=next(iter(there), None)
        )
        self.ask_more(inputs)
        inputs.str("reason", label="Reason", description="A word or a sentence; others will read it.")
        inputs.str("reviewer", label="Reviewer", default=ctx.dataset.info.get("reviewer", ""), required=True)
        return types.Property(inputs, view=types.View(label=self.LABEL))

    def execute(self, ctx: Any) -> dict[str, Any]:
        sample = _sample(ctx)
        if sample is None:
            return {"said": "no film is open"}
        params = {name: ctx.params.get(name) or "" for name in ("finding", "reason", "reviewer", "presence")}
        params["reviewer"] = params["reviewer"] or ctx.dataset.info.get("reviewer", "")
        try:
            said = self.act(sample, params, ctx)
        except BoxrayError as error:
            ctx.ops.notify(str(error), variant="error")
            return {"said": str(error)}
        ctx.ops.notify(said, variant="success")
        ctx.ops.reload_dataset()
        return {"said": said}


class AcceptDetections(_Verdict):
    """The detector's boxes become annotations: the selected ones, or all of a finding that reach its threshold."""

    NAME, LABEL, ICON = "accept_detections", "boxray: accept the detector's boxes", "done_all"

    def findings(self, sample: Any, space: LabelSpace) -> list[str]:
        shown = [] if sample[names.DETECTOR] is None else sample[names.DETECTOR].detections
        there = [det.label for det in sorted(shown, key=lambda det: -det.confidence)]
        return list(dict.fromkeys([*there, *space.keys]))

    def act(self, sample: Any, params: dict[str, Any], ctx: Any) -> str:
        ids = {label["label_id"] for label in ctx.selected_labels or () if label["field"].startswith(names.DETECTOR)}
        added = verdicts.accept_detections(sample, params["finding"], params["reviewer"], params["reason"], ids)
        return f"{added} box{'' if added == 1 else 'es'} of {params['finding']} accepted"


class SetPresence(_Verdict):
    """Present without a box, absent or unknown; boxes of the finding go."""

    NAME, LABEL, ICON = "set_presence", "boxray: present, absent or unknown", "rule"

    def ask_more(self, inputs: Any) -> None:
        radio = types.RadioGroup(orientation="horizontal")
        for presence in (Presence.ABSENT, Presence.UNKNOWN, Presence.PRESENT):
            radio.add_choice(presence.value, label=presence.value)
        inputs.enum("presence", radio.values(), label="It is", default=Presence.ABSENT.value, required=True, view=radio)

    def act(self, sample: Any, params: dict[str, Any], ctx: Any) -> str:
        del ctx
        presence = Presence(params["presence"] or Presence.ABSENT)
        verdicts.set_presence(sample, params["finding"], presence, params["reviewer"], params["reason"])
        return f"{params['finding']}: {presence.value}"


class RightAsItIs(_Verdict):
    """The boxes of a finding were looked at and are right."""

    NAME, LABEL, ICON = "right_as_it_is", "boxray: right as it is", "verified"

    def findings(self, sample: Any, space: LabelSpace) -> list[str]:
        drawn = [] if sample[names.ANNOTATION] is None else sample[names.ANNOTATION].detections
        there = {box.label for box in drawn}
        return [key for key in space.keys if key in there] or list(space.keys)

    def act(self, sample: Any, params: dict[str, Any], ctx: Any) -> str:
        del ctx
        n_boxes = verdicts.confirm(sample, params["finding"], params["reviewer"], params["reason"])
        return f"{n_boxes} box{'' if n_boxes == 1 else 'es'} of {params['finding']}: right as it is"


class SecondOpinion(_Verdict):
    """Somebody else should look at a finding too."""

    NAME, LABEL, ICON = "second_opinion", "boxray: ask for a second opinion", "group_add"

    def act(self, sample: Any, params: dict[str, Any], ctx: Any) -> str:
        del ctx
        verdicts.ask_second_opinion(sample, params["finding"], params["reviewer"], params["reason"])
        return f"{params['finding']}: marked for a second opinion"


class NextInQueue(foo.Operator):  # type: ignore[misc]
    """Opens the film behind the open one, in the order of the view."""

    @property
    def config(self) -> Any:
        return foo.OperatorConfig(name="next_in_queue", label="boxray: next in queue", icon="skip_next")

    def execute(self, ctx: Any) -> dict[str, Any]:
        following = verdicts.next_of(ctx.view, ctx.current_sample)
        if following is None:
            ctx.ops.notify("that was the last film of this view", variant="info")
        else:
            ctx.ops.open_sample(id=following)
        return {"said": following or "the end"}


class VerdictPanel(foo.Panel):  # type: ignore[misc]
    """The same as buttons beside the open film, with what a box of each finding encloses."""

    @property
    def config(self) -> Any:
        return foo.PanelConfig(
            name="verdict_panel", label="Verdict", icon="fact_check", surfaces="modal", help_markdown=__doc__
        )

    def on_load(self, ctx: Any) -> None:
        ctx.panel.state.loaded = True

    def render(self, ctx: Any) -> Any:
        panel = types.Object()
        for verdict in VERDICTS:
            panel.btn(verdict.NAME, label=verdict.LABEL.removeprefix("boxray: "), on_click=_prompt(self, verdict.NAME))
        panel.btn("next", label="next in queue", on_click=self.go_on)
        space = _space(ctx)
        if space is not None:
            lines = [f"- **{finding.display}**: {finding.box}" for finding in space]
            panel.md("A box encloses\n\n" + "\n".join(lines))
        return types.Property(panel, view=types.GridView(orientation="vertical", gap=1, padding=2))

    def accept_detections(self, ctx: Any) -> None:
        ctx.prompt("@boxray/review/accept_detections")

    def set_presence(self, ctx: Any) -> None:
        ctx.prompt("@boxray/review/set_presence")

    def right_as_it_is(self, ctx: Any) -> None:
        ctx.prompt("@boxray/review/right_as_it_is")

    def second_opinion(self, ctx: Any) -> None:
        ctx.prompt("@boxray/review/second_opinion")

    def go_on(self, ctx: Any) -> None:
        ctx.trigger("@boxray/review/next_in_queue")


VERDICTS: tuple[type[_Verdict], ...] = (AcceptDetections, SetPresence, RightAsItIs, SecondOpinion)


def _prompt(panel: VerdictPanel, name: str) -> Callable[[Any], None]:
    method: Callable[[Any], None] = getattr(panel, name)
    return method


def register(plugin: Any) -> None:
    """Called by FiftyOne."""
    for each in (*VERDICTS, NextInQueue, VerdictPanel):
        plugin.register(each)
