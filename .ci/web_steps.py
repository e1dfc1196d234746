"""What people do in the page, step by step, for every scenario: its ids and attributes are those of client/web/page/README.md, "For whoever drives the page".

Decides: that a step which comes to something else than was meant fails with what the page itself says about it. Trusts: the page for its own marks; what it must not be trusted for
(where it asked, what it threw, what it compiled) is looked at beside it. Out of scope: which steps make a scenario.
"""
import json
import time

from browser import Failed

JUDGING_SECONDS = 60  # three nodes may have to be tried, on a busy machine
SIGNING_SECONDS = 60
WRITING_SECONDS = 60  # another node may have to take over in between
STAGES = ["root", "chain", "revocation", "report", "tcb", "policy", "measurement", "binding", "release", "cluster"]


def state(page, part):
    return page.read(part if part == "body" else f"#{part}", "data-state")


def code(page, part):
    return page.read(part if part == "body" else f"#{part}", "data-code")


def told(page, part):
    """The words of an error, as they stand in the page."""
    return (page.read(f"#{part}-error", "innerText") or "").strip()


def comes_to(page, part, wanted, seconds):
    """Waits until a part says one of these; what else it says for good is told."""
    wanted = (wanted,) if isinstance(wanted, str) else wanted
    name = "body" if part == "body" else f"#{part}"
    on_the_way = ("loading", "reading", "scanning", "asking", "signing", "judging", "idle", "empty", "out", "closed", "none", "lost", "fetching")
    script = f"((s) => {json.dumps(list(wanted))}.includes(s) || !{json.dumps(on_the_way)}.includes(s) ? s : '')(document.querySelector({json.dumps(name)})?.dataset.state ?? '')"
    until = time.monotonic() + seconds
    found = ""
    while found not in wanted:
        found = page.evaluate(script)
        if found and found not in wanted:
            # A part may pass through what it was before it is asked again.
            page.browser.rest(0.5)
            if page.evaluate(script) == found:
                break
        if time.monotonic() >= until:
            break
        page.browser.rest(0.04)
    now = state(page, part)
    if now not in wanted:
        error = told(page, "page" if part == "body" else part)
        raise Failed(f"{part} came to {now!r} (code {code(page, part)}), not to {' or '.join(wanted)}, in {seconds} s: {error or page.read('#said')}")
    return now


def refused_by(page, part, *codes):
    """The code a part was refused with, which has to be one of these, with words that are sentences of a person's language."""
    found, words = code(page, part) or page.read(f"#{part}-error", "data-code"), told(page, part)
    if codes and found not in codes:
        raise Failed(f"{part} has code {found}, not {' or '.join(codes)}: {words}")
    plain(found, words)
    return found, words


def plain(found, words):
    """A code, and words for a person: sentences, and nothing a program throws."""
    if not (found or "").startswith("RW-C-"):
        raise Failed(f"an error without a code: {found!r}: {words}")
    if found == "RW-C-PAGE-FAULT" or any(trace in words for trace in ("undefined", "[object", "TypeError", "null is", "Uncaught")) or len(words) < 30 or "." not in words:
        raise Failed(f"{found} is not told in plain words: {words!r}")


def opened(stage, page=None, more=""):
    page = page or stage.page
    page.goto(f"{stage.demo.url}app/{more}")
    comes_to(page, "body", "ready", JUDGING_SECONDS)
    return page


def card(page):
    """The demonstration's card."""
    if state(page, "card") != "read":
        page.click("#card-demo")
        comes_to(page, "card", "read", 20)
    return page.read("#card-cluster", "data-cluster")


def forget(page, part):
    """What a part said before is no answer to what is asked next."""
    page.evaluate(f"document.querySelector('#{part}').dataset.state = 'idle'")


def anew(page):
    """The card is put away, where there is one."""
    if page.evaluate("document.querySelector('#card-change').checkVisibility()"):
        page.click("#card-change")
        comes_to(page, "card", "empty", 20)


def card_file(page, path):
    forget(page, "card")
    page.attach("#card-file", path)
    return comes_to(page, "card", ("read", "refused"), 30)


def checked(page, wanted="believed"):
    """A node is judged; the marks of all questions."""
    page.click("#chain-start")
    comes_to(page, "chain", wanted, JUDGING_SECONDS)
    return marks(page, "chain")


def marks(page, part):
    return dict(page.evaluate(f"[...document.querySelectorAll('#{part}-questions > li')].map((li) => [li.dataset.stage, li.dataset.mark])"))


def all_ok(page, part="chain"):
    """Every question, once they have turned one by one."""
    page.wait(f"document.querySelectorAll('#{part}-questions > li:not([data-mark=waiting])').length === {len(STAGES)}", "every question to be answered", 20)
    found = marks(page, part)
    if list(found) != STAGES or set(found.values()) != {"ok"}:
        raise Failed(f"not every question was answered: {found}")


def place(page):
    """Where the session is: address, and by which way."""
    return page.read("#chain-node", "data-address"), page.read("#chain-node", "data-over")


def times(page):
    return float(page.read("#chain-ms", "data-ms")), float(page.read("#chain-ms", "data-total-ms"))


def signed_in(page):
    page.click("#sign-in")
    comes_to(page, "sign", "in", SIGNING_SECONDS)
    comes_to(page, "notes", "open", SIGNING_SECONDS)
    return page.read("#sign-user", "data-user")


def entered(stage, page=None):
    """Card, check, sign in: where most scenarios begin."""
    page = opened(stage, page)
    card(page)
    checked(page)
    return page, signed_in(page)


def beside(stage):
    """A second tab of the same user, which is told that the first one is signed in."""
    second = opened(stage, stage.tab())
    second.front()
    card(second)
    checked(second)
    second.click("#sign-in")
    comes_to(second, "sign", "elsewhere", SIGNING_SECONDS)
    return second


def taken(page):
    """The session is taken over from the other tab."""
    page.click("#sign-take")
    comes_to(page, "sign", "in", SIGNING_SECONDS)


def version(page, name):
    return page.read(f'#notes-list li[data-name="{name}"]', "data-version")


def wrote(page, name, text):
    """A note, until it is stored."""
    page.fill("#note-name", name)
    page.fill("#note-text", text)
    before = version(page, name)
    page.click("#note-write", WRITING_SECONDS)
    script = f"""((v, e) => e.dataset.code ? "!" + e.innerText : v && v.dataset.version !== {json.dumps(before)} ? "stored" : "")(
        document.querySelector('#notes-list li[data-name={json.dumps(name)}]'), document.querySelector("#notes-error"))"""
    came = page.wait(script, f"note {name} to be stored", WRITING_SECONDS)
    if came != "stored":
        raise Failed(f"note {name} was not stored: {came[1:]}")


def has(page, name, text):
    """A note is there and says this, now: not what was shown of it before."""
    page.evaluate("delete document.querySelector('#note-shown').dataset.name, 0")
    page.click(f'#notes-list li[data-name="{name}"] .note-read', WRITING_SECONDS)
    shown = page.wait(f"document.querySelector('#note-shown:not([hidden])')?.dataset.name === {json.dumps(name)} && document.querySelector('#note-shown-text').textContent", f"note {name} to be shown", WRITING_SECONDS)
    if shown != text:
        raise Failed(f"note {name} says {shown!r}, and {text!r} was written")


def remembered(page):
    """Entries of the log that the page has kept a receipt of."""
    page.wait("Number(document.querySelector('#memory-size')?.dataset.value) > 0", "the page to remember something", 30)
    return int(page.read("#memory-size", "data-value"))


def phrase(page):
    """The recovery phrase, written down and confirmed; its words."""
    page.click("#phrase-make")
    comes_to(page, "phrase", "shown", 20)
    words = page.evaluate("[...document.querySelectorAll('#phrase-words > li')].map((li) => li.textContent)")
    page.click("#phrase-check")
    for at in (1, 2, 3):
        page.fill(f"#phrase-word-{at}", words[int(page.read(f"#phrase-word-{at}", "data-place")) - 1])
    page.click("#phrase-confirm")
    # `none` is passed through; whatever else it comes to is told.
    page.wait("document.querySelector('#phrase').dataset.state === 'confirmed' || document.querySelector('#phrase-error').dataset.code", "the phrase to be confirmed", WRITING_SECONDS)
    if state(page, "phrase") != "confirmed":
        raise Failed(f"the phrase was not confirmed: {told(page, 'phrase')}")
    return words


def judged_offline(page, card_path, exchange_path):
    page.attach("#offline-card", card_path)
    page.attach("#offline-exchange", exchange_path)
    page.click("#offline-verify")
    return comes_to(page, "offline", ("accepted", "refused", "cannot-tell", "failed"), JUDGING_SECONDS)
