// Where a page may dial: an address of the card, and no other place it could be read as.
//
// Decides: that scheme, host, port and path are what was meant. Trusts: nothing; an address is whatever a card says.

const ADDRESS = /^(?:[A-Za-z0-9._-]{1,120}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}$/;

export function target(scheme, address) {
    if (typeof address !== "string" || !ADDRESS.test(address)) throw new Error("the card's address for pages is no host and port");
    const url = new URL(`${scheme}//${address}/ringwall`);
    if (url.protocol !== scheme || url.pathname !== "/ringwall" || url.username || url.search || url.hash) throw new Error("the card's address for pages is no host and port");
    return url.href;
}
