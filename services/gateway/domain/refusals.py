# SPDX-License-Identifier: Apache-2.0
"""What the gateway says no to."""

from services.kit.errors import Code, Refusal, RequestInvalid


class MatterNotFound(Refusal):
    """No matter has this code."""

    code = Code.NOT_FOUND


class CaseNotFound(Refusal):
    """There is no such case, or it is another resident's."""

    code = Code.NOT_FOUND


class LicenseNotFound(Refusal):
    """There is no such license, or it is another resident's."""

    code = Code.NOT_FOUND


class AnswersInvalid(Refusal):
    """Answers break the rules of the form; `violations` name the fields, never the values."""

    code = Code.INVALID_ARGUMENT


class AnswersMissing(Refusal):
    """The form is not complete; `violations` name what is missing."""

    code = Code.INVALID_ARGUMENT


class CaseNotDraft(Refusal):
    """A case that is submitted can't be changed or deleted any more."""


class TooManyDrafts(Refusal):
    """The resident has as many drafts as one may have."""

    code = Code.RESOURCE_EXHAUSTED


class TooManyCases(Refusal):
    """The resident has as many cases of the matter under way as one may have."""

    code = Code.RESOURCE_EXHAUSTED


class TooManySubmissions(Refusal):
    """The resident has submitted as many cases today as one may."""

    code = Code.RESOURCE_EXHAUSTED


class CaseNotParked(Refusal):
    """Only a parked step can be taken up again."""


class StepNeeded(Refusal):
    """Steps that must happen need it: it can be done by hand, but not skipped."""


class CasePastPivot(Refusal):
    """Something that must not be undone is done, or may be: the case can only go forward."""


class CaseNotUnderWay(Refusal):
    """It is a draft, has ended, or is given up already."""


class NothingProposed(Refusal):
    """Nobody has said yet what came of this step, or it has moved on since."""


class DefinitionRefused(Refusal):
    """A definition does not hold; `violations` name each place."""

    code = Code.INVALID_ARGUMENT


class DefinitionProposed(Refusal):
    """This very version is proposed or confirmed already."""

    code = Code.ALREADY_EXISTS


class DefinitionUnknown(Refusal):
    """No such version is proposed, or none is confirmed."""

    code = Code.NOT_FOUND


class FourEyes(Refusal):
    """It needs a second person, and this is the first one: who proposes or asks can't confirm or grant it."""

    code = Code.PERMISSION_DENIED


class RoleUnknown(Refusal):
    """No agency here has this role, or the step is not an agency's."""

    code = Code.INVALID_ARGUMENT


class SignalUnknown(Refusal):
    """No step of the case waits for such a signal of this agency."""

    code = Code.NOT_FOUND


class SignalNotAwaited(Refusal):
    """It has come already, or nobody will wait for it any more."""


class SignatureNotAsked(Refusal):
    """Nobody asks this person to sign; perhaps not any more."""

    code = Code.NOT_FOUND


class ClockNotFound(Refusal):
    """The case has no clock of this name, or it has not started."""

    code = Code.NOT_FOUND


class ClockHeldByLaw(Refusal):
    """A rule has stopped the clock, nobody did: it runs on when the rule's time is over."""


class ClockNotYours(Refusal):
    """Another agency is responsible for what this clock measures."""

    code = Code.PERMISSION_DENIED


class ClockBusy(Refusal):
    """The clock was moved as often as one may be."""

    code = Code.RESOURCE_EXHAUSTED


class ApproverNeeded(Refusal):
    """An extension is approved by the head of the body (Administrative Licensing Law, art. 42), not by whoever asks for it."""


class DaysInvalid(Refusal):
    """The days to leave out end before they begin, or are more than a year."""

    code = Code.INVALID_ARGUMENT


class IdempotencyKeyReused(Refusal):
    """The same key came with another request."""

    code = Code.ALREADY_EXISTS


class CitizenOnly(Refusal):
    """Only a resident has cases, licenses and accesses of their own."""

    code = Code.PERMISSION_DENIED


class StepNotOpen(Refusal):
    """The step is answered, overtaken or unknown: there is nothing to do."""


class StepNotYours(Refusal):
    """Another service owns steps of this kind."""

    code = Code.PERMISSION_DENIED


class TaskNotFound(Refusal):
    """There is no such task, or it is another agency's."""

    code = Code.NOT_FOUND


class TaskNotOpen(Refusal):
    """The task is answered, or its case no longer asks for it."""


class LeaseLost(Refusal):
    """Somebody else of the agency holds the task now."""

    code = Code.ABORTED


class TaskHeld(Refusal):
    """Another clerk holds the task; the message says who, and since when."""

    code = Code.ABORTED


class TaskNotHeld(Refusal):
    """Nobody holds the task: it must be claimed before it is worked on."""


class ClerkOnly(Refusal):
    """Only a clerk has an inbox."""

    code = Code.PERMISSION_DENIED


class ClerkNotListed(Refusal):
    """The calling clerk is not on the department's roster."""

    code = Code.PERMISSION_DENIED


class ClerkUnknown(Refusal):
    """The department's roster has no such clerk."""

    code = Code.NOT_FOUND


class ClerkNotCompetent(Refusal):
    """The task is outside the clerk's skills or jurisdiction."""


class ClerkAbsent(Refusal):
    """The clerk is away; the message says until when, and who stands in."""


class AbsenceInvalid(Refusal):
    """An absence without days, with too many, or with nobody else to stand in; `violations` say which."""

    code = Code.INVALID_ARGUMENT


class CorrectionRepeated(Refusal):
    """The step has asked the applicant for corrections before: everything is asked for at once."""


class CorrectionNotAsked(Refusal):
    """Nothing is to be corrected, or not any more; the message says what is so."""


class CorrectionInvalid(Refusal):
    """What is to be corrected is not in the form, or named twice; `violations` say which."""

    code = Code.INVALID_ARGUMENT


class ExtensionRepeated(Refusal):
    """More time was asked for before, and is being decided or was granted."""


class ExtensionNotAsked(Refusal):
    """There is no request for more time to decide on."""


class ApprovalNotAsked(Refusal):
    """There is no answer that waits for a second clerk."""


class ReasonUnknown(Refusal):
    """The matter lists no such reason for a refusal, and there are no own words."""

    code = Code.INVALID_ARGUMENT


class OpinionAsked(Refusal):
    """An expert was asked already, and has not answered yet."""


class OpinionNotAsked(Refusal):
    """The caller was not asked for this opinion, or has given it."""


class QueueNotFound(Refusal):
    """The department has no such queue."""

    code = Code.NOT_FOUND


class TaskOutputInvalid(Refusal):
    """What came back is not what the step declares; `violations` name what is missing or malformed."""

    code = Code.INVALID_ARGUMENT


class SandboxOff(Refusal):
    """Made-up accounts exist only in a sandbox."""

    code = Code.NOT_FOUND


class TooManyAccesses(RequestInvalid):
    """More accesses than can be counted at once: ask for a shorter time."""


class MaterialNotFound(Refusal):
    """The matter asks for no such material, or the case has no such thing."""

    code = Code.NOT_FOUND


class MaterialNotAsked(Refusal):
    """The case is submitted, and nobody asked for this material again."""


class MaterialsMissing(Refusal):
    """Something that is needed was not handed in; `violations` name it."""

    code = Code.INVALID_ARGUMENT


class MaterialTooLarge(Refusal):
    """The file is larger than the material may be."""

    code = Code.INVALID_ARGUMENT


class MediaTypeRefused(Refusal):
    """The material is not taken as a file of this type."""

    code = Code.INVALID_ARGUMENT


class MaterialContentRefused(Refusal):
    """The file is not what it is said to be, or holds what a document need not: scripts, other files, a password."""

    code = Code.INVALID_ARGUMENT


class MaterialInfected(Refusal):
    """The scanner has found something in the file; it was not kept."""

    code = Code.INVALID_ARGUMENT


class MaterialLicenseInvalid(Refusal):
    """The license does not stand for this material: of another type, not the applicant's, or not in force."""


class TooManyMaterials(Refusal):
    """There is as much of this material, in the case, or of the resident as there may be."""


class UploadsNotOffered(Refusal):
    """Nothing looks for viruses here, so that no file is taken."""
