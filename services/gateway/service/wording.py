# SPDX-License-Identifier: Apache-2.0
"""What stands in a leaf as a code, in words for whom it is about. A code that is not known here stands for itself."""

from collections.abc import Mapping
from typing import Final

from services.kit.text import Text

OPERATIONS: Final[Mapping[str, Text]] = {
    "query": Text("查询", "Query"),
    "verify": Text("核验", "Verification"),
    "answer_collected": Text("提取查询结果", "An answer was collected"),
    "recall_read": Text("读取更正通知", "A recall was read"),
    "identity.GetOwnPerson": Text("本人查看身份信息", "Own identity record was read"),
    "identity.RegisterPersons": Text("身份登记", "Registration of a person"),
    "identity.ResolvePerson": Text("读取身份信息", "Identity record was read"),
    "identity.VerifyPerson": Text("身份核验", "Verification of identity"),
    "identity.VerifyStep": Text("办件中的身份核验", "Verification of identity for a case"),
    "licenses.GetLicense": Text("查看电子证照", "A license was read"),
    "licenses.ListOwnLicenses": Text("本人查看证照列表", "Own licenses were listed"),
    "licenses.VerifyLicense": Text("验证电子证照", "A license was verified"),
    "gateway.ReadTask": Text("工作人员办理您的办件时查看", "A clerk who works on your case read what it needs"),
    "gateway.ReadMaterial": Text("工作人员查看您提交的材料", "A clerk read a file that you handed in"),
    "ledger.search": Text("审计检索", "Search by an auditor"),
    "ledger.countersign": Text("会签暂不公开决定", "An order to hide uses was countersigned"),
    "ledger.lift": Text("撤销暂不公开决定", "An order to hide uses was lifted"),
    "ledger.erase": Text("删除个人密钥", "The personal key was erased"),
}
OUTCOMES: Final[Mapping[str, Text]] = {
    "answered": Text("已答复", "Answered"),
    "match": Text("一致", "Match"),
    "no_match": Text("不一致", "No match"),
    "not_found": Text("未查到", "Not found"),
    "NOT_FOUND": Text("未查到", "Not found"),
    "NO_GRANT": Text("拒绝：无授权", "Refused: no grant"),
    "GRANT_EXPIRED": Text("拒绝：授权已到期", "Refused: the grant has expired"),
    "PURPOSE_NOT_GRANTED": Text("拒绝：用途未获授权", "Refused: the purpose is not granted"),
    "FIELD_NOT_GRANTED": Text("拒绝：字段未获授权", "Refused: a field is not granted"),
    "SHARING_REFUSED": Text("拒绝：不予共享", "Refused: not shared, by law"),
    "QUOTA_EXCEEDED": Text("拒绝：超出限额", "Refused: quota used up"),
    "PROVIDER_UNAVAILABLE": Text("未答复：数据提供部门无响应", "Not answered: the provider is away"),
    "UNAVAILABLE": Text("未答复：系统暂不可用", "Not answered: unavailable"),
    "CANCELLED": Text("未答复：已取消", "Not answered: given up"),
}
KINDS: Final[Mapping[str, Text]] = {
    "agency": Text("部门", "A department"),
    "citizen": Text("居民", "A resident"),
    "clerk": Text("窗口工作人员", "A clerk"),
    "operator": Text("平台运维人员", "An operator of the platform"),
    "service": Text("平台服务", "The platform"),
}
SELF: Final = Text("本人", "Yourself")


def words(known: Mapping[str, Text], code: str) -> Text:
    """The words for a code."""
    return known.get(code) or Text(code or "-", code or "-")
