# SPDX-License-Identifier: Apache-2.0
"""Invented names, streets and firms. Full names have four characters so that one is never an ordinary word."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SURNAMES = _words("闻人 澹台 公冶 宗政 濮阳 淳于 单于 太叔 申屠 公孙 仲孙 轩辕 令狐 钟离 宇文 长孙 慕容 鲜于 闾丘 司徒")
"""Double surnames: rare enough that a name of the city is nobody's and nothing else's."""

MALE = _words("柏岳 翊钧 景澄 怀瑾 砚秋 承泽 逸舟 昀廷 峻熙 霁川 牧之 珩远 煦阳 弈诚 叙白 屿森 朗清 祁连 颂年 知衡")
FEMALE = _words("汀兰 若蘅 疏桐 月澜 采薇 静姝 沐晴 语霏 芷蓝 婉清 知夏 舒窈 映雪 如苡 锦书 清越 念慈 予禾 思齐 望舒")

STREETS = _words("启明路 同心街 合众大道 惠民巷 便民路 百事通街 云桥路 数字大街 一窗路 畅行道")
TRADES = _words("餐饮 运输 软件 园艺 印务 木作 建材 茶业")
BRANDS = _words("青禾 远帆 四时 衔山 拾光 岸芷 同舟 北辰")

_HAN_FIRST, _HAN_LAST = 0x4E00, 0x9FA5


def child_name(father: str, given: str) -> str:
    """The father's surname (two characters) with a given name."""
    return father[:2] + given


def full_name(surname: str, given: str, ordinal: int) -> str:
    """A name; from the second round of the lists on, a further character keeps names from repeating too soon."""
    return (
        surname + given
        if ordinal == 0
        else surname + given[0] + chr(_HAN_FIRST + ordinal * 7 % (_HAN_LAST - _HAN_FIRST))
    )
