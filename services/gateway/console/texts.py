# SPDX-License-Identifier: Apache-2.0
"""Every word of the console, in Chinese and in English."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "language": ("zh-CN", "en"),
    "other_language": ("English", "中文"),
    "console": ("通办 · 运行控制台", "Tongban console"),
    "skip": ("跳到主要内容", "Skip to main content"),
    "sign_in": ("登录", "Sign in"),
    "sign_out": ("退出", "Sign out"),
    "sign_in_lead": ("控制台仅供运维人员使用。", "The console is for operators."),
    "token": ("运维人员访问令牌", "Operator's access token"),
    "token_hint": ("令牌只保存在本浏览器中，到期即失效。", "The token stays in this browser and ends with its time."),
    "persona": ("沙盒运维账号", "Operator account of the sandbox"),
    "persona_hint": ("沙盒城市中的虚构账号，无需密码。", "A made-up account of the sandbox city; no password."),
    "sign_in_as": ("以此账号登录", "Sign in as"),
    "sign_in_failed": (
        "不能登录：令牌无效、已过期，或不属于运维人员。",
        "Not signed in: the token doesn't hold, has expired, or is no operator's.",
    ),
    "find": ("查找办件", "Find a case"),
    "receipt": ("办件编号", "Receipt number"),
    "receipt_hint": (
        "也可以填办件标识（UUID）或追踪标识（32 位十六进制）。",
        "A case id (UUID) or trace id (32 hexadecimal digits) will do as well.",
    ),
    "search": ("查找", "Find"),
    "case": ("办件", "Case"),
    "case_id": ("办件标识", "Case id"),
    "matter": ("事项", "Matter"),
    "status": ("状态", "Status"),
    "created": ("创建时间", "Created"),
    "submitted": ("提交时间", "Submitted"),
    "not_submitted": ("尚未提交", "not submitted"),
    "traces": ("追踪", "Traces"),
    "own_trace": ("办件主追踪", "The case's own trace"),
    "no_traces": (
        "没有保存此办件的追踪：可能未采样、尚未到达或已过期。",
        "No trace of this case is kept: not sampled, not arrived yet, or too old.",
    ),
    "recent": ("最近的追踪", "Recent traces"),
    "none_yet": ("还没有收到任何追踪。", "No trace has arrived yet."),
    "outbox": ("沙盒发件箱", "Outbox of the sandbox"),
    "outbox_lead": (
        "沙盒没有接入短信或邮件服务：以下内容没有发给任何人，仅在此显示最近 100 条。",
        "This sandbox has no SMS or mail behind it: what stands here was sent to nobody. The newest 100 are shown.",
    ),
    "outbox_empty": ("还没有发出任何内容。", "Nothing was sent yet."),
    "channel": ("方式", "Channel"),
    "channel.mail": ("邮件", "Mail"),
    "channel.sms": ("短信", "SMS"),
    "address": ("收件地址", "To"),
    "words": ("内容", "Words"),
    "trace": ("追踪", "Trace"),
    "trace_id": ("追踪标识", "Trace id"),
    "root": ("起点", "Begins with"),
    "root_missing": ("（起点未到达）", "(its first span has not arrived)"),
    "start": ("开始", "Start"),
    "duration": ("时长", "Duration"),
    "spans": ("跨度", "Spans"),
    "errors": ("错误", "Errors"),
    "services": ("服务", "Services"),
    "waterfall": ("瀑布图", "Waterfall"),
    "span": ("操作", "Span"),
    "service": ("服务", "Service"),
    "kind": ("类型", "Kind"),
    "after": ("起始于", "After"),
    "bar": ("时间轴", "Timeline"),
    "bar_label": ("{after} 后开始，历时 {duration}", "begins after {after}, takes {duration}"),
    "attributes": ("属性", "Attributes"),
    "links": ("关联", "Links"),
    "span_id": ("跨度标识", "Span id"),
    "instance": ("实例", "Instance"),
    "failed": ("失败", "failed"),
    "fine": ("正常", "fine"),
    "orphan": ("上级未到达", "parent has not arrived"),
    "cut": (
        "此追踪过长，仅显示最早的 {count} 个跨度。",
        "This trace is long: only its first {count} spans are shown.",
    ),
    "refused": ("无法显示", "This can't be shown"),
    "back": ("返回控制台首页", "Back to the console"),
    "not_found": ("没有找到。", "Not found."),
    "too_many": (
        "请求过于频繁，请稍后再试。",
        "Too many requests; try again in a moment.",
    ),
    "unavailable": (
        "系统的一部分暂时没有响应，请稍后再试。",
        "A part of the system does not answer just now; try again in a moment.",
    ),
    "kind.internal": ("内部", "internal"),
    "kind.server": ("服务端", "server"),
    "kind.client": ("客户端", "client"),
    "kind.producer": ("发送", "producer"),
    "kind.consumer": ("接收", "consumer"),
    "kind.unspecified": ("未知", "unknown"),
    "status.draft": ("草稿", "draft"),
    "status.submitted": ("已提交", "submitted"),
    "status.in_progress": ("办理中", "in progress"),
    "status.completed": ("已办结", "completed"),
    "status.refused": ("不予办理", "refused"),
    "status.parked": ("待人工处理", "parked"),
}  # fmt: skip


class Texts:
    """The words of one language; Chinese unless English is asked for."""

    def __init__(self, language: str) -> None:
        self.english = language == "en"

    def __call__(self, key: str, **values: object) -> str:
        """Say it. A key that nobody wrote is itself: a foreign state is better shown than hidden."""
        pair = TEXTS.get(key)
        if pair is None:
            return key.rpartition(".")[2]
        return pair[self.english].format(**values) if values else pair[self.english]
