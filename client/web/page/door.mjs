// The page's side of client/web/src/door.rs: bytes in, bytes out.
//
// A module that imports anything is refused: it is given its questions and nothing else. A function that traps ends the instance; whoever asks makes a new one
// (`fresh`) and opens again what it had opened. Trusts: whoever serves the module's bytes.

export class Door {
    static async of(bytes) {
        const module = await WebAssembly.compile(bytes);
        const wanted = WebAssembly.Module.imports(module).map(({ module, name }) => `${module}.${name}`);
        if (wanted.length > 0) throw new Error(`the module asks for ${wanted.join(", ")}: it may ask for nothing`);
        return new Door(module).another();
    }

    constructor(module) {
        this.module = module;
    }

    // Another instance of the same module, with a memory of its own.
    async another() {
        const door = new Door(this.module);
        await door.fresh();
        return door;
    }

    async fresh() {
        this.exports = (await WebAssembly.instantiate(this.module, {})).exports;
    }

    // The answer's bytes to a question of bytes.
    ask(name, question) {
        const { memory, room, answered } = this.exports;
        const at = room(question.length) >>> 0;
        if (at === 0) throw new Error(`a question of ${question.length} bytes is too long`);
        new Uint8Array(memory.buffer, at, question.length).set(question);
        const length = this.exports[name]() >>> 0;
        return new Uint8Array(memory.buffer, answered() >>> 0, length).slice();
    }

    // The same where the answer is JSON.
    told(name, question) {
        return JSON.parse(new TextDecoder().decode(this.ask(name, question)));
    }
}
