// Where a page may dial: an address of the card, and no other place it could be read as.
//
// Decides: that scheme, host, port and path are what was meant. Trusts: nothing; an address is whatever a card says. docs/core.md, "Cards".

const HOST = String.raw`(?:[A-Za-z0-9._-]{1,120}|\[[0-9A-Fa-f:.]{2,45}\])`;
const DOOR = new RegExp(`^${HOST}:[0-9]{1,5}$`);
const SOCKET = new RegExp(`^(wss?:)//(${HOST}(?::[0-9]{1,5})?)(/[A-Za-z0-9._~/-]{0,100})?$`);

const refused = (what) => new Error(`the card's ${what} for pages is none`);

function same(url, protocol, pathname) {
    const { username, password, search, hash } = url;
    return url.protocol === protocol && url.pathname === pathname && !username && !password && !search && !hash;
}

// `host:port` of a door for WebTransport.
export function door(address) {
    if (typeof address !== "string" || !DOOR.test(address) || !URL.canParse(`https://${address}/ringwall`)) throw refused("address");
    const url = new URL(`https://${address}/ringwall`);
    if (!same(url, "https:", "/ringwall")) throw refused("address");
    return url.href;
}

// The whole address of a door for WebSocket.
export function socket(address) {
    const parts = typeof address === "string" && SOCKET.exec(address);
    if (!parts || !URL.canParse(address)) throw refused("socket");
    const url = new URL(address);
    if (!same(url, parts[1], parts[3] || "/")) throw refused("socket");
    return url.href;
}
