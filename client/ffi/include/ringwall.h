/* Ringwall for other languages. Made of client/ffi/src by `cargo xtask header --write`; edits are lost.

   How to use it: docs/c-interface.md. What is in frames: docs/core.md.

   Pointers and lengths: bytes that are passed in are read during the call and never kept. An answer is memory of the caller's from then on: ringwall_free(answer, its length) once.
   `answer` and its length are written by every call that got so far; where there is nothing to say they are null and 0. Threads: every function may be called on any thread; two
   calls at the same time on one handle of ringwall_open are RINGWALL_BUSY. No panic leaves the library; memory that runs out ends the process. */

#ifndef RINGWALL_H
#define RINGWALL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a head, at most. */
#define RINGWALL_HEAD_BYTES (64 * 1024)

/* Handles of one process, at most: each holds what a session needs, and a connected one a thread. */
#define RINGWALL_HANDLES (256)

/* Bytes one call of `receive` may bring. */
#define RINGWALL_RECEIVE_BYTES (64 * 1024)

/* Milliseconds a host may take for one way. */
#define RINGWALL_DIAL_MS (5000)

/* How a call ended. Every function that returns `int32_t` returns one of these. */
enum ringwall_status {
    /* Done. */
    RINGWALL_OK = 0,
    /* The core refused: the answer is one frame that says why, with a code and words. */
    RINGWALL_REFUSED = 1,
    /* A pointer that must point somewhere is null. */
    RINGWALL_NULL = 2,
    /* A length is above its limit. */
    RINGWALL_TOO_LARGE = 3,
    /* No such handle: it was never given out, or was closed. */
    RINGWALL_HANDLE = 4,
    /* Another call on this handle is running, or too many questions wait. */
    RINGWALL_BUSY = 5,
    /* Called from inside a callback. */
    RINGWALL_REENTRANT = 6,
    /* This call met a bug of this library; a handle it was made on is poisoned. */
    RINGWALL_PANICKED = 7,
    /* An earlier call on this handle met a bug of this library. */
    RINGWALL_POISONED = 8,
    /* As many handles as there may be. */
    RINGWALL_TOO_MANY_HANDLES = 9,
    /* The handle is of the other kind: of `ringwall_open`, or of `ringwall_connect`. */
    RINGWALL_KIND = 10,
    /* The time is over. A write may have been applied, or may be later. */
    RINGWALL_DEADLINE = 11,
    /* The client is over; the answer is the frame that says why. */
    RINGWALL_ENDED = 12,
    /* Not an allocation of this library with this length, or freed before. */
    RINGWALL_FREE = 13,
    /* No thread could be started. */
    RINGWALL_THREAD = 14,
    /* The callback for randomness failed. */
    RINGWALL_RANDOM = 15,
    /* The host is of another version of this interface: its `size` is another one. */
    RINGWALL_HOST = 16,
};

/* Kinds of ways. */
enum ringwall_over {
    /* QUIC as the native client speaks it; what was shown is the exporter value of its TLS. */
    RINGWALL_OVER_NATIVE = 1,
    /* WebTransport; what was shown is the hash of the certificate. */
    RINGWALL_OVER_WEBTRANSPORT = 2,
    /* WebSocket; nothing is shown. */
    RINGWALL_OVER_WEBSOCKET = 3,
};

/* What a connected client needs of the program it lives in: functions, each called with `context` as it stands here, all of them on one thread of the client.
   A function must not call this library, and must not unwind: an exception that leaves it ends the process. */
typedef struct ringwall_host {
    /* `sizeof(ringwall_host)`: another number is of another version of this interface. */
    size_t size;
    /* Handed to every function; used from another thread than the one that connects. */
    void *context;
    /* Opens a way to `address` (host and port) of the kind `over`, within `within_ms` milliseconds. `certificates` are hashes of 32 bytes each. Writes to `shown` (32 bytes)
       what the way showed: its exporter value, or the hash of its certificate. 0: it is open. */
    int32_t (*dial)(
        void *context,
        uint64_t dial,
        const uint8_t *address,
        size_t address_len,
        int32_t over,
        const uint8_t *certificates,
        size_t certificates_len,
        uint32_t within_ms,
        uint8_t *shown);
    /* Sends all of it, after what was sent before. 0: taken. */
    int32_t (*send)(void *context, uint64_t dial, const uint8_t *bytes, size_t len);
    /* Waits at most `within_ms` milliseconds for bytes; how many were written to `into`, at most `room`. 0: none yet. Below 0: the way is lost. */
    int64_t (*receive)(void *context, uint64_t dial, uint8_t *into, size_t room, uint32_t within_ms);
    /* Ends a way; `well` is 1 where what was sent is to arrive first. */
    void (*hang_up)(void *context, uint64_t dial, int32_t well);
    /* Milliseconds of a clock that only goes forward. */
    uint64_t (*now_ms)(void *context);
    /* Unix seconds. */
    uint64_t (*now_s)(void *context);
    /* Fills `into` from the platform's generator. 0: done. */
    int32_t (*random)(void *context, uint8_t *into, size_t len);
    /* Replaces the kept memory. 0: it is on stable storage, whatever happens next. */
    int32_t (*keep)(void *context, const uint8_t *memory, size_t len);
    /* May be null. Signs with the device's Ed25519 key, where the caller did not give its seed; writes 64 bytes. 0: done. */
    int32_t (*sign)(void *context, const uint8_t *words, size_t len, uint8_t *signature);
    /* May be null. A frame to show: who was believed or not, with the saved exchange, and why the client ended. */
    void (*told)(void *context, const uint8_t *frame, size_t len);
} ringwall_host;

/* Bytes of a frame, at most: a card and a kept memory of their full sizes. */
#define RINGWALL_FRAME_BYTES (96 * 1024 * 1024)

/* Bytes of a namespace's name, or of a key, at most; what a cluster takes is less. */
#define RINGWALL_NAME_BYTES (4 * 1024)

/* The version of this library, as text that ends with a zero; never freed. */
const char *ringwall_version(void);

/* What a status means: its code, what happened and what to do, as text that ends with a zero; never freed. Null for a number that is none. */
const char *ringwall_words(int32_t status);

/* Frees what a function handed out, with the length it gave. Wipes it first. Null with length 0 is nothing. What is not ours is not touched.
   The caller promises:
   Nobody uses the memory any more. */
int32_t ringwall_free(uint8_t *at, size_t len);

/* Reads a card: docs/core.md, "Cards".
   The caller promises:
   `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to. */
int32_t ringwall_card(const uint8_t *frame, size_t frame_len, uint8_t **answer, size_t *answer_len);

/* Judges a saved exchange against a card, without a network: docs/core.md, "Verification without a network". That evidence is refused is an answer (`RINGWALL_OK`).
   The caller promises:
   `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to. */
int32_t ringwall_verify(const uint8_t *frame, size_t frame_len, uint8_t **answer, size_t *answer_len);

/* Opens a client whose effects the caller carries out: docs/core.md, "open". `handle` is 0 where there is none.
   The caller promises:
   `frame_len` bytes at `frame` are readable; `handle`, `answer` and `answer_len` may be written to. */
int32_t ringwall_open(const uint8_t *frame, size_t frame_len, uint64_t *handle, uint8_t **answer, size_t *answer_len);

/* Tells a client of `ringwall_open` one event; the answer is its effects, in the order in which they are to be carried out. One call at a time on a handle.
   The caller promises:
   `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to. */
int32_t ringwall_handle(uint64_t handle, const uint8_t *frame, size_t frame_len, uint8_t **answer, size_t *answer_len);

/* Ends a client; its handle is unknown from then on. A connected one says goodbye first, and no callback runs afterwards. Whoever waits is told `RINGWALL_ENDED`. */
int32_t ringwall_close(uint64_t handle);

/* Opens a client that carries out its effects itself, on a thread of its own, with the functions of `host`. The frame is one of `open` without `now_ms`, `now_s` and `fresh`.
   Returns before a node was asked. Ends with `ringwall_close`.
   The caller promises:
   `frame_len` bytes at `frame` are readable; `host` points to a `ringwall_host` whose functions have these shapes and may be called on another thread, with its context,
   until `ringwall_close` returned; `handle`, `answer` and `answer_len` may be written to. */
int32_t ringwall_connect(const uint8_t *frame, size_t frame_len, const ringwall_host *host, uint64_t *handle, uint8_t **answer, size_t *answer_len);

/* Asks a connected client, and waits for the answer: a frame of docs/core.md, "Operations", the operation as its head. From any thread, also several at once.
   The caller promises:
   `frame_len` bytes at `frame` are readable; `answer` and `answer_len` may be written to. */
int32_t ringwall_ask(uint64_t handle, const uint8_t *frame, size_t frame_len, uint32_t within_ms, uint8_t **answer, size_t *answer_len);

/* Stores a value under a key of the namespace `space`, and waits until it is on a majority of disks. `version`, which may be null, is its version; `answer` is nothing, or says why it failed.
   The caller promises:
   Each pointer with a length points to so many readable bytes; `version`, `answer` and `answer_len` may be written to. */
int32_t ringwall_put(
    uint64_t handle,
    const uint8_t *space,
    size_t space_len,
    const uint8_t *key,
    size_t key_len,
    const uint8_t *value,
    size_t value_len,
    uint32_t within_ms,
    uint64_t *version,
    uint8_t **answer,
    size_t *answer_len);

/* Reads the value of a key of the namespace `space`. `found` is 1 where there is one; `version`, which may be null, is its version; `value` is the value, nothing where it is empty, or says why the call failed.
   The caller promises:
   Each pointer with a length points to so many readable bytes; `found`, `version`, `value` and `value_len` may be written to. */
int32_t ringwall_get(
    uint64_t handle,
    const uint8_t *space,
    size_t space_len,
    const uint8_t *key,
    size_t key_len,
    uint32_t within_ms,
    int32_t *found,
    uint64_t *version,
    uint8_t **value,
    size_t *value_len);

#ifdef __cplusplus
}
#endif

#endif
