"""What a person waits for: the page in a real Chromium, from the navigation until the chain, the latest values and the
charts are drawn."""

import contextlib
import shutil
import statistics

# Marks the moments, seen from inside: the first frame in which the chain and the values stand, and the first with lines
# in every chart.
WATCH = """
window.marks = {};
const mark = (name, there) => { if (!(name in marks) && there()) requestAnimationFrame(() => { marks[name] ??= performance.now(); }); };
new MutationObserver(() => {
    mark('now', () => document.querySelector('#chain .part') && document.querySelector('.device .value'));
    mark('charts', () => document.querySelector('.card') && [...document.querySelectorAll('.card')].every(card => card.querySelector('.plot .mean')));
}).observe(document, { childList: true, subtree: true });
"""
DRAWN = "() => 'charts' in marks"
# Of that, from the first request of a batch to the last byte of its answers: the page, its files, how things stand, the
# values.
SERVED = """() => {
    const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    const batches = [one => one.entryType === 'navigation', one => /\\.(js|css)$/.test(one.name), one => /api\\/s/.test(one.name), one => /api\\/v/.test(one.name)];
    return batches.map(is => all.filter(is)).map(batch => Math.max(...batch.map(one => one.responseEnd)) - Math.min(...batch.map(one => one.requestStart)));
}"""
# Until every chart is drawn anew with more than a day: the paths are other ones then.
YEAR = """async () => {
    const paths = () => [...document.querySelectorAll('.card')].map(card => card.querySelector('.plot .mean')?.getAttribute('d'));
    const before = paths(), began = performance.now();
    document.querySelectorAll('#ranges button')[3].click();
    return await new Promise(done => {
        const look = () => paths().every((path, i) => path && path !== before[i]) ? done(performance.now() - began) : requestAnimationFrame(look);
        look();
    });
}"""


@contextlib.contextmanager
def chromium():
    """A browser, or None where there is none."""
    path = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if not path:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def first_views(browser, url, runs):
    """Medians in ms: chain and values drawn, charts of a day drawn, of the two what passed between asking and answer,
    charts of a year drawn after its button; and how many charts there are."""
    times = {"now": [], "charts": [], "now_asked": [], "charts_asked": [], "year": []}
    for _ in range(runs + 1):  # the first one is the browser's own
        context = browser.new_context(viewport={"width": 1280, "height": 4000}, locale="en-GB")
        page = context.new_page()
        page.add_init_script(WATCH)
        page.goto(url)
        page.wait_for_function(DRAWN)
        marks = page.evaluate("marks")
        asked = page.evaluate(SERVED)
        marks.update(now_asked=sum(asked[:3]), charts_asked=sum(asked))
        marks["year"] = page.evaluate(YEAR)
        cards = page.locator(".card").count()
        context.close()
        for name, found in times.items():
            found.append(marks[name])
    return {name: statistics.median(found[1:]) for name, found in times.items()}, cards
