// As much of a document as the parts of the app use: elements by name that are there as soon as they are asked for.
//
// Decides: nothing. Trusts: the app to ask for ids that exist, which the browser's scenarios see. Out of scope: layout, focus, styles.

class Element {
    #inner = new Map();
    #listeners = new Map();

    constructor() {
        Object.assign(this, { dataset: {}, hidden: false, disabled: false, textContent: "", value: "", files: [], checked: false, children: [] });
    }

    addEventListener(name, work) {
        this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), work]);
    }

    // What a person does to it; done when everything that listens is.
    async happens(name) {
        await Promise.all((this.#listeners.get(name) ?? []).map((work) => work({ target: this })));
    }

    querySelector(name) {
        if (!this.#inner.has(name)) this.#inner.set(name, new Element());
        return this.#inner.get(name);
    }

    setAttribute(name, value) {
        if (name.startsWith("data-")) this.dataset[name.slice(5)] = value;
        else this[name] = value;
    }

    replaceChildren(...children) {
        this.children = children;
    }

    append(...children) {
        this.children.push(...children);
    }

    removeAttribute() {}
    focus() {}
    scrollIntoView() {}
}

// Puts a document into this program; `by` finds its elements. `reloads` counts.
export function document() {
    const elements = new Map();
    const by = (id) => {
        if (!elements.has(id)) elements.set(id, new Element());
        return elements.get(id);
    };
    const made = { by, reloads: 0 };
    globalThis.document = { getElementById: by, querySelector: () => null, createElement: () => new Element(), body: new Element(), baseURI: "https://x.test/page/app/" };
    globalThis.location = { reload: () => made.reloads++ };
    // One question after the other, as for most people.
    globalThis.matchMedia = () => ({ matches: false });
    return made;
}
