# SPDX-License-Identifier: Apache-2.0
"""Everything the exchange refuses, in words; the reason is the class's name in capitals."""

from services.kit.errors import Code, NotFound, Refusal


class NoGrant(Refusal):
    """Nobody gave the asking agency this resource; one that doesn't exist reads the same, so codes can't be probed."""

    code = Code.PERMISSION_DENIED


class GrantExpired(Refusal):
    """There was a grant, and its last moment has passed."""

    code = Code.PERMISSION_DENIED


class PurposeNotGranted(Refusal):
    """The grant holds, but for other purposes."""

    code = Code.PERMISSION_DENIED


class FieldNotGranted(Refusal):
    """A field was asked for, or compared, that the grant does not give."""

    code = Code.PERMISSION_DENIED


class QuestionNotGranted(Refusal):
    """A question was asked that the grant does not let be asked, or that there is not."""

    code = Code.PERMISSION_DENIED


class MethodNotGranted(Refusal):
    """The grant holds, but not for asking in this way, e.g. for batches."""

    code = Code.PERMISSION_DENIED


class OutsideHours(Refusal):
    """The grant holds at other hours or on working days only; a retry helps when it opens."""

    code = Code.PERMISSION_DENIED


class ConsentMissing(Refusal):
    """The basis of the grant is the subject's consent, and there is none that covers this question."""

    code = Code.PERMISSION_DENIED


class RateExceeded(Refusal):
    """More calls a second than the grant allows."""

    code = Code.RESOURCE_EXHAUSTED


class QuotaExceeded(Refusal):
    """The calls of this day (UTC+8) are used up."""

    code = Code.RESOURCE_EXHAUSTED


class TooManyGrants(Refusal):
    """The agency holds as many grants on this resource as one may."""

    code = Code.RESOURCE_EXHAUSTED


class NotOwnRecord(Refusal):
    """A resident may ask about nobody but themselves."""

    code = Code.PERMISSION_DENIED


class ValueNotReceived(Refusal):
    """An agency disputes a value that it may not see and never received."""

    code = Code.PERMISSION_DENIED


class SharingRefused(Refusal):
    """The resource is not shared, by law; no grant can change that."""

    code = Code.PERMISSION_DENIED


class ProviderUnavailable(Refusal):
    """The provider did not answer in time, or is not asked for a while because it kept failing. A retry may help."""

    code = Code.UNAVAILABLE


class ProviderBusy(Refusal):
    """As many questions are open at the provider as it is given at once."""

    code = Code.RESOURCE_EXHAUSTED


class ProviderAnswerInvalid(Refusal):
    """The provider answered with something that can't be passed on: wrong types, too large, or about somebody else."""

    code = Code.FAILED_PRECONDITION


class ProviderInMaintenance(Refusal):
    """The provider announced that it would not answer now; `end_time` in the metadata says until when.

    Not UNAVAILABLE: that is tried again at once, and the end is hours away.
    """


class MaintenanceNotPossible(Refusal):
    """Maintenance is announced too late, lasts too long, or is one too many."""


class MaintenanceNotFound(NotFound):
    """There is no such maintenance."""


class FileDropInvalid(Refusal):
    """What arrived is not what was announced, or not a file of this resource; nothing of it was kept."""

    code = Code.INVALID_ARGUMENT


class FileDropBusy(Refusal):
    """Another file of the resource is being loaded."""

    code = Code.RESOURCE_EXHAUSTED


class FileDropNotFound(NotFound):
    """There is no such drop."""


class ProviderNotFound(NotFound):
    """Nobody of that code provides anything here."""


class ResourceNotFound(NotFound):
    """There is no such resource in the catalogue."""


class GrantNotFound(NotFound):
    """There is no such grant."""


class GrantRevoked(Refusal):
    """The grant was taken back before."""


class AnswerNotFound(NotFound):
    """There is no such answer, or its time is over."""


class ChangeNotFound(NotFound):
    """There is no such change, or it is another agency's."""


class ChangeNotOpen(Refusal):
    """The change was decided, or is in effect."""


class ChangeOpenAlready(Refusal):
    """A resource has one open change at a time: a second one would not know what it changes."""


class NoticeNotFound(NotFound):
    """There is no such notice in the agency's inbox."""


class NoticeTooShort(Refusal):
    """Somebody loses something, and would learn it too late."""


class ReviewerNotIndependent(Refusal):
    """Who proposes does not publish."""

    code = Code.PERMISSION_DENIED


class DemandNotFound(NotFound):
    """There is no such demand, or the caller has no part in it."""


class DemandNotOpen(Refusal):
    """The demand is not where this could be done."""


class ResourceRetired(Refusal):
    """The provider no longer offers the resource; what the catalogue said of it stays readable."""


class ResourceNotOwned(Refusal):
    """The resource is another agency's; or a connector offers one that is not reached by connector."""

    code = Code.PERMISSION_DENIED


class HelloMissing(Refusal):
    """A connector must say first which resources it serves, and only once."""


class ApplicationNotFound(NotFound):
    """There is no such application, or it is none of the caller's."""


class ApplicationNotOpen(Refusal):
    """It is not in a state in which this can be done."""


class ActNotYours(Refusal):
    """The other party, or the sharing authority, does that."""

    code = Code.PERMISSION_DENIED


class HandedBackBefore(Refusal):
    """An application is handed back once; what is missing then is said completely."""


class HandBackTooLate(Refusal):
    """The time to say what is missing is over: the application counts as complete."""


class ExtensionAsked(Refusal):
    """More time was asked for before, or the time is over."""


class NotNarrower(Refusal):
    """A decision can give what was applied for or less, not more and nothing else."""


class RegionNotServed(Refusal):
    """This node serves its own region; the resource belongs to another."""


class CorrectionNotFound(NotFound):
    """There is no such correction, or it is none of the caller's business."""


class CorrectionNotOpen(Refusal):
    """It was answered or withdrawn before."""


class CorrectionOpenAlready(Refusal):
    """The claimant disputes this very value already."""

    code = Code.ALREADY_EXISTS


class TooManyCorrections(Refusal):
    """The claimant has as many open corrections as one may have."""

    code = Code.RESOURCE_EXHAUSTED


class RecallNotFound(NotFound):
    """There is no such recall of the calling agency."""


class RecallAcknowledged(Refusal):
    """It was acknowledged before."""


def ends_stream(refusal: Refusal) -> bool:
    """Tell whether a stream ends here, to go on later or never: the next subject would fare no better."""
    of_grant = NoGrant | GrantExpired | PurposeNotGranted | FieldNotGranted | MethodNotGranted
    if isinstance(refusal, of_grant | SharingRefused | ResourceRetired):
        return True
    return retry_helps(refusal) and not isinstance(refusal, ProviderAnswerInvalid)


def retry_helps(refusal: Refusal) -> bool:
    """Tell whether a step refused so may succeed later without anybody changing the case."""
    return isinstance(
        refusal,
        ProviderUnavailable
        | ProviderInMaintenance
        | ProviderBusy
        | ProviderAnswerInvalid
        | QuotaExceeded
        | RateExceeded
        | OutsideHours,
    )
