"""What protects minors: nothing sexual is painted of them. Built in: no setting, file or role switches it off.

Refused are words that name such pictures by themselves (ALONE), sexual words together with words of minors, ages under
18 among these, and sexual words whose negative prompt takes grown-ups out of the picture. All that a picture is painted
from counts together: its prompt, its style, what of a picture is meant, and what the picture that it starts from was
asked for as.

Words cannot tell what is meant. Where they leave a doubt it is refused, so `girl` and `boy` are words of minors here,
and adults who are called that are to be called women and men. A child on a swing, and a nude statue, are each fine.

The terms were collected by hand for Easel, in English and in Chinese of both scripts: what dictionaries say, tags of
image boards, and spellings that such filters are usually evaded by; other spellings are `folding`'s matter. They are
plain because a list that hints at words does not find them. Add to it whatever gets by, with a line in its test.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from bot.policies.wordlists import Texts, WordList

ALONE = """
    loli, lolis, lolicon, lolicons, shota, shotas, shotacon, toddlercon, jailbait, csam, pedo, pedos, paedo, paedos,
    pedophil*, paedophil*, pedobear, child porn*, kiddie porn*, kid porn*, kiddy porn*, barely legal, underage porn*,
    恋童, 戀童, 娈童, 孌童, 萝莉控, 蘿莉控, 正太控, 儿童色情, 兒童色情, 幼女控, 炼铜癖, ロリコン, ショタコン
"""

MINORS = """
    child, childs, children, childrens, childlike, child like, childish, grandchild, grandchildren, schoolchild,
    schoolchildren, kid, kids, kidz, kiddo, kiddos, kiddie, kiddies, kiddy, toddler, toddlers, infant, infants, baby,
    babies, newborn, newborns, minor, minors, underage, underaged, under age, under aged, preteen, preteens, pre teen,
    pre teens, tween, tweens, teen, teens, teenage, teenaged, teenager, teenagers, adolescent, adolescents,
    adolescence, juvenile, juveniles, youngster, youngsters, prepubescent, pre pubescent, pubescent, puberty, immature
    body, underdeveloped, young looking, very young, too young, girl, girls, gurl, gurls, grl, grls, girlie, boy,
    boys, boi, bois, lil girl, lil boy, schoolgirl, schoolgirls, schoolboy, schoolboys, school age, school aged,
    schooler, schoolers, preschool, preschooler, preschoolers, kindergarten, kindergartner, kindergartners,
    kindergartener, kindergarteners, nursery school, elementary school, primary school, middle school, middle
    schooler, junior high, high school, high schooler, high schoolers, highschool, highschooler, grade schooler,
    daughter, daughters, granddaughter, son, sons, grandson, niece, nieces, nephew, nephews, little sister, little
    brother, young sister, young brother, younger sister, younger brother, imouto, otouto, lolita, lolitas, gothloli,
    luoli, zhengtai, cub, cubs, ageplay, age play, age regression, ddlg, little one, little ones,
    儿童, 兒童, 孩子, 小孩, 孩童, 幼儿, 幼兒, 婴儿, 嬰兒, 宝宝, 寶寶, 幼童, 幼女, 幼男, 幼齿, 幼齒,
    女童, 男童, 少女, 少年, 未成年, 小学生, 小學生, 中学生, 中學生, 初中生, 国中生, 國中生, 高中生, 学童,
    學童, 幼儿园, 幼稚園, 小女孩, 小男孩, 女孩, 男孩, 小姑娘, 小女生, 小男生, 小朋友, 小屁孩, 小妹妹,
    小弟弟, 萝莉, 蘿莉, 洛丽塔, 洛麗塔, 正太, 女儿, 女兒, 儿子, 兒子, 侄女, 外甥女, 青少年, 青春期,
    发育中, 發育中, 豆蔻年华, 豆蔻年華, ロリ, ショタ, 幼い
"""

SEXUAL = """
    nude, nudes, nudity, nudist, nudists, nood, noods, naked, nakedness, nekkid, topless, undress*, unclothed, unclad,
    disrobed, disrobing, no clothes, no clothing, no pants, no panties, no underwear, no bra, without clothes, without
    clothing, without any clothes, without any clothing, without underwear, without panties, wearing nothing, clothes
    off, clothes removed, remove clothes, remove her clothes, remove his clothes, remove the clothes, remove clothing,
    remove all clothes, take off her clothes, take off his clothes, stripped naked, stripped bare, striptease,
    stripper, strippers, birthday suit, sex, sexes, secks, seggs, sexting, sexual*, sexualis*, sexualiz*, sexy,
    sexier, sexiest, erotic*, erotism, nsfw, porn*, pron, hentai, ecchi, xxx, x rated, r18, r 18, lewd*, lust,
    lustful, lusty, horny, aroused, arousing, arousal, orgasm*, cum, cums, cumming, cumshot, cumshots, creampie*,
    semen, ejaculat*, masturbat*, blowjob*, handjob*, footjob*, titjob*, boobjob*, rimjob*, fellatio, cunnilingus,
    deepthroat*, anal, anus, vagina*, vulva*, labia, clitoris, clit, pussy, pussies, cunt, cunts, cameltoe, penis*,
    phallus, dick, dicks, cock, cocks, dildo*, vibrator*, buttplug*, boob, boobs, booby, boobies, breast, breasts,
    tits, titty, titties, oppai, nipple*, areola*, genital*, crotch, pubic, upskirt, pantyshot, panties, panty,
    underwear, lingerie, thong, thongs, g string, micro bikini, see through, seethrough, bondage, bdsm, shibari,
    fetish*, dominatrix, spread legs, spreading legs, legs spread, spread eagle, doggystyle, doggy style, missionary
    position, cowgirl position, fuck*, fap, intercourse, copulat*, rape, raped, rapes, raping, rapist, molest*,
    grope*, groping, seduc*, sensual*, provocative, provocatively, slut*, whore*, prostitut*, escort girl, hooker*,
    ahegao, futa, futanari, gangbang*, threesome*, orgy, orgies, incest*, paizuri, bukkake, making love, make love,
    camgirl*, onlyfans, buttocks, butt, butts, ass, asses, arse, big booty,
    裸, 一丝不挂, 一絲不掛, 光着身子, 光著身子, 光身子, 光屁股, 没穿衣服, 沒穿衣服, 不穿衣服, 没有穿衣服,
    沒有穿衣服, 脱衣, 脫衣, 脱光, 脫光, 脱掉衣服, 脫掉衣服, 去掉衣服, 色情, 情色, 色图, 色圖, 涩图, 黄图,
    黃圖, 黄片, 黃片, 性感, 性爱, 性愛, 性交, 性欲, 性慾, 性器, 性虐, 性奴, 性行为, 性行為, 性诱惑,
    制服诱惑, 做爱, 做愛, 情欲, 情慾, 淫, 阴部, 陰部, 阴道, 陰道, 阴茎, 陰莖, 阴唇, 陰唇, 阴蒂, 陰蒂,
    下体, 下體, 私处, 私處, 鸡巴, 雞巴, 屄, 骚, 乳房, 乳头, 乳頭, 乳晕, 巨乳, 贫乳, 貧乳, 奶子,
    爆乳, 胸部, 露点, 露點, 露胸, 露乳, 屁股, 臀部, 内裤, 內褲, 内衣, 內衣, 胸罩, 情趣, 高潮, 自慰,
    手淫, 口交, 肛交, 射精, 精液, 中出, 强奸, 強姦, 强暴, 強暴, 轮奸, 輪姦, 猥亵, 猥褻, 乱伦, 亂倫,
    走光, 里番, 裏番, 工口, 援交, エロ, おっぱい, セックス, パンツ
"""

GROWN = """
    adult, adults, grown up, grown ups, grownup, grownups, mature, mature female, mature male, mature woman, grown
    woman, grown man,
    成年, 成人, 大人, 成熟
"""
"""What takes grown-ups out of a picture where it stands in its negative prompt."""

_NUMBERS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen"
)
_AGES = re.compile(
    rf"""
    (?<![\d.,])(?<![^\W\d_])(?:0?\d|1[0-7]|{_NUMBERS})[\W_]{{0,3}}
        (?:(?:years?|yrs?|months?)[\W_]{{0,3}}(?:old|of[\W_]age)|y[\W_]{{0,2}}o|year[\W_]{{0,2}}olds?)(?![^\W\d_])
    |(?<![^\W\d_])(?:age|aged|turning)[\W_]{{0,3}}(?:0?\d|1[0-7]|{_NUMBERS})(?![\w'’])(?![.,]\d)
    |(?<!\d)(?:0?\d|1[0-7])[\W_]{{0,2}}[岁歲]
    |(?<![一二三四五六七八九十百])(?:[零一二两兩三四五六七八九]|十[一二三四五六七]?)[\W_]{{0,2}}[岁歲]
    """,
    re.VERBOSE,
)
"""Ages under 18, in digits and in words."""


def refused(positive: Iterable[str], negative: Iterable[str]) -> bool:
    """Whether this is not to be painted: `positive` are all texts that a picture is painted from together, `negative`
    those that say what is not to be on it."""
    texts = Texts.of(positive)
    if _terms(ALONE).found(texts) is not None:
        return True
    if _terms(SEXUAL).found(texts) is None:
        return False
    if _terms(MINORS).found(texts) is not None or any(_AGES.search(reading.text) for reading in texts.readings):
        return True
    return _terms(GROWN).found(Texts.of(negative)) is not None


@functools.cache
def _terms(listed: str) -> WordList:
    return WordList.of([" ".join(term.split()) for term in listed.split(",")])
