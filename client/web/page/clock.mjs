// The browser's two clocks and its generator, in the units of the module.
//
// Decides: nothing. The first clock only goes forward and says how long things take; the second says what time it is, which evidence is judged by: one that is wrong by days makes good
// evidence look outdated, and the module says so. Trusts: the browser.

export const clock = {
    now_ms: () => Math.floor(performance.now()),
    now_s: () => Math.floor(Date.now() / 1000),
    // Calls back in so many milliseconds; gives what cancels it. A browser's timers end at 2^31.
    in: (ms, work) => {
        const timer = setTimeout(work, Math.min(Math.max(ms, 0), 2 ** 31 - 1));
        return () => clearTimeout(timer);
    },
};

export const random = (bytes) => crypto.getRandomValues(new Uint8Array(bytes));
