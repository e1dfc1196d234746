// Times as people read them.
//
// Decides: that times are shown in UTC, so that two people who compare them see the same.

export const date = (at_s) => `${new Date(at_s * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`;
