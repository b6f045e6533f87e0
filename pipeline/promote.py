"""ONE PROMOTION, TOP TO BOTTOM: read this first.

A model version becomes an image, the image becomes a canary, and what is bad goes back by itself.
Each line of :func:`promote` is a checkpoint: after a crash the interrupted step runs again and
finds its own finished work. Evidence is typed, so a step that is skipped or swapped does not type.
"""

from functools import partial

from pipeline.at_once import Steps
from pipeline.domain.evidence import (
    AdmittedImage,
    Analysis,
    CanaryRevision,
    CheckedModel,
    ResolvedModel,
    SignedImage,
    VerifiedImage,
)
from pipeline.domain.promotion import Kind, Phase
from pipeline.domain.references import ImageRef
from pipeline.ports import StillWanted
from pipeline.run import Ended, Run
from pipeline.steps.admit import admit, pass_by
from pipeline.steps.attest_deployment import attest_deployment
from pipeline.steps.build import build
from pipeline.steps.canary import canary, judged
from pipeline.steps.check import check
from pipeline.steps.compare import compare
from pipeline.steps.complete import complete
from pipeline.steps.deploy import deploy
from pipeline.steps.describe import describe
from pipeline.steps.lock import lock
from pipeline.steps.observe import observe
from pipeline.steps.prove import prove
from pipeline.steps.recall import recall, recorded, remember
from pipeline.steps.resolve import read_alias, resolve
from pipeline.steps.rollback import restore
from pipeline.steps.sign import sign
from pipeline.steps.smoke import smoke
from pipeline.steps.stand_by import stand_by
from pipeline.steps.verify import recognise, verify
from pipeline.tools import Tools
from pipeline.trust.statements import Deployment

STEPS = (
    ("resolve", "alias -> version -> run"),
    ("check", "the service's policy: required tags and metrics, its platform"),
    ("recall", "was this version's image built before? then it is deployed as it is"),
    ("describe", "what the model's own files say it is and needs"),
    ("lock", "runtime and the model's requirements -> one hashed lock"),
    ("build", "base, environment and model as layers, by digest"),
    ("smoke", "the image answers the model's own example, isolated"),
    ("sign", "signature and provenance beside the image"),
    ("verify", "all of it read back, against the trust policy"),
    ("compare", "who calls what serves now can call this version as well: signatures"),
    ("admit", "people agree, nothing is frozen, a place is free: it waits, and says for what"),
    ("attest_deployment", "a signed statement: this image, this service, this sequence"),
    ("deploy", "a revision at 0 %, ready"),
    ("prove", "it answers the model's own example where it runs, before any traffic"),
    ("canary", "a rising share of real traffic, judged all the while"),
    ("stand_by", "where no canary is needed: it gets nothing while people keep it back"),
    ("complete", "100 %"),
    ("restore", "any bad end: stable takes everything back, first of all"),
)
"""The steps in order with what each is for; ``laurel steps`` prints them."""


def carry_out(run: Run, tools: Tools) -> Ended:
    """Carry a promotion out to its end; whatever stops it, stable has the traffic back first."""
    flow = roll_back if run.promotion.kind is Kind.ROLLBACK else promote
    try:
        run.unless_ended()
        return Ended(Phase.SUCCEEDED, flow(run, tools))
    except Ended as ended:
        back = partial(
            restore, run.promotion.service, sequence=run.promotion.sequence, target=tools.target
        )
        state = run.insist("put traffic back", back)
        if run.record.serves_in(state) and run.record.began(complete):
            late = f"{run.promotion.service} served it before it could be stopped: {ended.reason}"
            return Ended(Phase.SUCCEEDED, late)
        return ended


def promote(run: Run, tools: Tools) -> str:
    """Bake a version, or recall its image, and roll it out; return how it went, as a sentence."""
    verified = (
        provide(known(run, tools), run, tools)
        if run.promotion.target is None
        else take(run.promotion.target, run, tools)
    )
    return roll_out(verified, run, tools, at_once=run.record.returns_to(verified.ref))


def known(run: Run, tools: Tools) -> ResolvedModel:
    """Find the version, and hold the service if a person promotes another than the alias names."""
    plan = run.promotion.plan
    resolved = run.step(resolve, run.promotion, registry=tools.models)
    if run.record.by_hand():
        named = run.fresh(read_alias, plan, plan.alias, registry=tools.models)
        run.record.hold_unless(named, resolved.model)
    run.record.know_model(resolved)  # from now on the alias may overtake a person's request
    return resolved


def take(image: ImageRef, run: Run, tools: Tools) -> VerifiedImage:
    """Take an image that was built elsewhere: verified as any, of a version that policy admits."""
    plan, images = run.promotion.plan, tools.images
    verified = run.fresh(recognise, image, plan=plan, registry=images, policy=tools.policy)
    run.record.know(model_version=verified.model.version)  # which one, the image says itself
    resolved = known(run, tools)
    run.step(check, resolved, plan=plan, target=tools.target, registry=tools.models)
    return verified


def roll_back(run: Run, tools: Tools) -> str:
    """Return to a digest that was served before: verified, but not built or judged again (§8.9)."""
    signed = run.fresh(recorded, run.promotion, key_id=tools.signer.key_id)
    verified = verify_anew(signed, run, tools)
    return roll_out(verified, run, tools, at_once=True)


def prepare(run: Steps, tools: Tools) -> VerifiedImage:
    """Make a version's image ready to be rolled out, and no more: what ``laurel build`` does."""
    resolved = run.step(resolve, run.promotion, registry=tools.models)
    return provide(resolved, run, tools)


def provide(resolved: ResolvedModel, run: Steps, tools: Tools) -> VerifiedImage:
    """Recall the version's image, or bake it; either way it is verified, then remembered."""
    plan = run.promotion.plan
    checked = run.step(check, resolved, plan=plan, target=tools.target, registry=tools.models)
    signed = run.long_step(
        recall,
        checked,
        plan=plan,
        rebuild=run.promotion.rebuild,
        registry=tools.images,
        key_id=tools.signer.key_id,
    )
    signed = signed or bake(checked, run, tools)
    verified = verify_anew(signed, run, tools)
    run.fresh(remember, verified, signed.version_key, registry=tools.images)
    return verified


def bake(checked: CheckedModel, run: Steps, tools: Tools) -> SignedImage:
    """Make the version's image: locked, built, smoked and signed."""
    plan, images = run.promotion.plan, tools.images
    described = run.step(describe, checked, store=run.interruptible(tools.artifacts))
    locked = run.heavy_step(
        lock, described, plan=plan, rebuild=run.promotion.rebuild, resolver=tools.resolver
    )
    run.confirm(tools.models)
    built = run.heavy_step(
        build,
        locked,
        plan=plan,
        store=run.interruptible(tools.artifacts),
        builder=tools.builder,
        registry=images,
    )
    smoked = run.heavy_step(smoke, built, plan=plan, runner=tools.runner, clock=run.clock)
    return run.step(
        sign,
        smoked,
        registry=images,
        signer=tools.signer,
        policy=tools.policy,
        clock=tools.clock,
        promotion_id=run.promotion.id,
    )


def verify_anew(signed: SignedImage, run: Steps, tools: Tools) -> VerifiedImage:
    """Verify an image as it is now, whatever an earlier attempt found (§8.16)."""
    copy_from = run.promotion.plan.copy_from
    return run.fresh(
        verify, signed, registry=tools.images, policy=tools.policy, copy_from=copy_from
    )


def roll_out(verified: VerifiedImage, run: Run, tools: Tools, *, at_once: bool) -> str:
    """Put a verified image into traffic: as a judged canary, or at once where that was asked."""
    promotion, target = run.promotion, tools.target
    before = run.fresh(observe, verified, plan=promotion.plan, target=target)
    run.record.know_image(verified, before.state)
    if before.state.serves(verified.ref) and not run.record.began(deploy):
        return f"{promotion.service} already serves {verified.model}"
    if before.state.stable is not None and not at_once:
        run.fresh(
            compare,
            verified.model,
            before.state,
            plan=promotion.plan,
            registry=tools.models,
            store=tools.artifacts,
        )
    wanted = partial(run.still_wanted, tools.models)
    place = not at_once and before.state.stable is not None
    admitted = let_in(verified, run, tools, place=place, still_wanted=wanted)
    run.fresh(
        attest_deployment,
        verified,
        deployment=Deployment(
            promotion.service,
            promotion.sequence,
            promotion.kind,
            history=run.record.history_so_far(),
            approved_by=tuple(each.actor for each in admitted.approvals),
        ),
        knows=run.record.history_was_at,
        registry=tools.images,
        signer=tools.signer,
        policy=tools.policy,
    )
    revision = run.step(
        deploy,
        admitted,
        plan=promotion.plan,
        sequence=promotion.sequence,
        target=target,
        clock=tools.clock,
        journal=run.record,
        still_wanted=wanted,
        at_once=at_once,
    )
    ready = earn(revision, verified, run, tools, at_once=at_once, still_wanted=wanted)
    served = run.step(complete, ready, sequence=promotion.sequence, target=target)
    how = ready.steps[-1]["detail"] if isinstance(ready, Analysis) else ""
    return f"{served.service} serves {verified.model}" + (f"; its canary was {how}" if how else "")


def earn(
    revision: CanaryRevision,
    verified: VerifiedImage,
    run: Run,
    tools: Tools,
    *,
    at_once: bool,
    still_wanted: StillWanted,
) -> CanaryRevision | Analysis:
    """Have a revision earn all of the traffic: as a canary, where it has a stable one beside it.

    How that went no checkpoint keeps: until ``complete`` begins, a restart judges and asks again.
    """
    journal, target = run.record, tools.target
    if run.promotion.kind is Kind.ROLLBACK:
        return revision
    proven = None
    if not at_once:
        proven = run.long_step(
            prove, revision, verified=verified, target=target, clock=run.clock, journal=journal
        )
    compared = proven if revision.stable is not None else None
    if journal.began(complete):
        return judged(revision, journal) if compared else revision
    if compared:
        return run.fresh(
            canary,
            compared,
            plan=run.promotion.plan,
            sequence=run.promotion.sequence,
            target=target,
            metrics=tools.metrics,
            clock=tools.clock,
            journal=journal,
            freezes=tools.freezes,
            still_wanted=still_wanted,
        )
    return run.fresh(
        stand_by,
        revision,
        clock=tools.clock,
        journal=journal,
        freezes=tools.freezes,
        still_wanted=still_wanted,
    )


def let_in(
    verified: VerifiedImage, run: Run, tools: Tools, *, place: bool, still_wanted: StillWanted
) -> AdmittedImage:
    """Wait until the image may have traffic; a rollback waits for nobody."""
    if run.promotion.kind is Kind.ROLLBACK:
        return pass_by(verified)
    return run.fresh(
        admit,
        verified,
        plan=run.promotion.plan,
        rules=tools.rules,
        place=place,
        freezes=tools.freezes,
        clock=tools.clock,
        journal=run.record,
        still_wanted=still_wanted,
    )
