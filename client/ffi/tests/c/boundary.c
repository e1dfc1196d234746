/* What C programs do wrong at the boundary, and what they are told: null pointers, lengths, handles that were closed, memory that is not ours, several threads.

   Decides: that every mistake has its status, and that the library goes on afterwards. Trusts: nothing. Out of scope: sessions. Run by client/ffi/tests, also under a memory checker. */
#include "ringwall.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(what)                                                  \
    do {                                                              \
        if (!(what)) {                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
            exit(1);                                                  \
        }                                                             \
    } while (0)

#define ZEROS_16 "0000000000000000"
#define ZEROS_64 ZEROS_16 ZEROS_16 ZEROS_16 ZEROS_16
#define ONES_64 "1111111111111111111111111111111111111111111111111111111111111111"

static const char CARD[] = "ringwall:" ONES_64 "?n=127.0.0.1:9";

/* A frame in memory of its own of exactly its size, so that reading beyond it is noticed. */
static size_t framed(const char *head, const char *payload, uint8_t **frame)
{
    size_t first = strlen(head), second = strlen(payload);
    *frame = malloc(4 + first + second);
    EXPECT(*frame != NULL);
    for (int byte = 0; byte < 4; byte++) {
        (*frame)[byte] = (uint8_t)(first >> (8 * byte));
    }
    memcpy(*frame + 4, head, first);
    memcpy(*frame + 4 + first, payload, second);
    return 4 + first + second;
}

static int holds(const uint8_t *bytes, size_t len, const char *wanted)
{
    for (size_t at = 0; at + strlen(wanted) <= len; at++) {
        if (memcmp(bytes + at, wanted, strlen(wanted)) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Opens a client of a card that is a link; nothing is asked of a network. */
static uint64_t opened(const char *device, int32_t wanted, const char *words)
{
    char head[512];
    uint8_t *frame, *answer;
    size_t answer_len;
    uint64_t handle = 77;
    snprintf(head, sizeof head,
             "{\"now_ms\":1,\"now_s\":1800000000,\"fresh\":\"" ZEROS_64 "\",\"card_bytes\":%zu,\"device\":%s,\"over\":[\"native\"]}", strlen(CARD), device);
    size_t len = framed(head, CARD, &frame);
    int32_t status = ringwall_open(frame, len, &handle, &answer, &answer_len);
    EXPECT(status == wanted && (handle != 0) == (wanted == RINGWALL_OK));
    EXPECT(answer != NULL && holds(answer, answer_len, words));
    EXPECT(ringwall_free(answer, answer_len) == RINGWALL_OK);
    free(frame);
    return handle;
}

/* Tells a client an event. */
static int32_t told(uint64_t handle, const char *event, const char *words)
{
    char head[512];
    uint8_t *frame, *answer;
    size_t answer_len;
    snprintf(head, sizeof head, "{\"client\":1,\"now_ms\":2,\"now_s\":1800000000,\"fresh\":\"" ONES_64 "\",\"event\":%s}", event);
    size_t len = framed(head, "", &frame);
    int32_t status = ringwall_handle(handle, frame, len, &answer, &answer_len);
    EXPECT(words == NULL || holds(answer, answer_len, words));
    EXPECT(ringwall_free(answer, answer_len) == RINGWALL_OK);
    free(frame);
    return status;
}

#define SEED "{\"seed\":\"" ONES_64 "\"}"

static void pointers_and_lengths(void)
{
    uint8_t *answer = (uint8_t *)1, byte = 0;
    size_t len = 9;
    EXPECT(ringwall_card(NULL, 4, &answer, &len) == RINGWALL_NULL && answer == NULL && len == 0);
    EXPECT(ringwall_card(&byte, 1, NULL, &len) == RINGWALL_NULL);
    EXPECT(ringwall_card(&byte, 1, &answer, NULL) == RINGWALL_NULL);
    EXPECT(ringwall_card(&byte, (size_t)-1, &answer, &len) == RINGWALL_TOO_LARGE);
    EXPECT(ringwall_verify(&byte, (size_t)RINGWALL_FRAME_BYTES + 1, &answer, &len) == RINGWALL_TOO_LARGE);
    EXPECT(ringwall_open(&byte, 1, NULL, &answer, &len) == RINGWALL_NULL);
    EXPECT(ringwall_connect(&byte, 1, NULL, NULL, &answer, &len) == RINGWALL_NULL);
    /* Nothing, and frames that are cut off, are answered in the core's words. */
    for (size_t cut = 0; cut < 6; cut++) {
        uint8_t *frame;
        framed("{}", "", &frame);
        uint8_t *part = malloc(cut + 1);
        memcpy(part, frame, cut);
        EXPECT(ringwall_card(part, cut, &answer, &len) == RINGWALL_REFUSED && holds(answer, len, "\"code\":\"RW-C-"));
        EXPECT(ringwall_free(answer, len) == RINGWALL_OK);
        free(part);
        free(frame);
    }
}

static void memory(void)
{
    uint8_t *frame, *answer, other[16] = {0};
    size_t len, frame_len = framed("{}", CARD, &frame);
    EXPECT(ringwall_card(frame, frame_len, &answer, &len) == RINGWALL_OK && holds(answer, len, ONES_64));
    EXPECT(ringwall_free(answer, len - 1) == RINGWALL_FREE && ringwall_free(answer + 1, len - 1) == RINGWALL_FREE);
    EXPECT(ringwall_free(other, sizeof other) == RINGWALL_FREE && ringwall_free(NULL, 3) == RINGWALL_FREE);
    EXPECT(holds(answer, len, ONES_64));
    EXPECT(ringwall_free(answer, len) == RINGWALL_OK);
    EXPECT(ringwall_free(answer, len) == RINGWALL_FREE);
    EXPECT(ringwall_free(NULL, 0) == RINGWALL_OK);
    free(frame);
}

static void handles(void)
{
    uint64_t first = opened(SEED, RINGWALL_OK, "\"is\":\"opened\""), second = opened(SEED, RINGWALL_OK, "\"is\":\"dial\"");
    EXPECT(first != second);
    EXPECT(told(first, "{\"is\":\"tick\"}", NULL) == RINGWALL_OK);
    EXPECT(told(first, "{\"is\":\"nothing\"}", "RW-C-CALL-HEAD") == RINGWALL_REFUSED);
    EXPECT(ringwall_close(first) == RINGWALL_OK && ringwall_close(first) == RINGWALL_HANDLE);
    EXPECT(told(first, "{\"is\":\"tick\"}", NULL) == RINGWALL_HANDLE && told(0, "{}", NULL) == RINGWALL_HANDLE);
    EXPECT(told(second, "{\"is\":\"tick\"}", NULL) == RINGWALL_OK);
    uint8_t *answer;
    size_t len;
    int32_t found;
    EXPECT(ringwall_ask(second, NULL, 0, 10, &answer, &len) == RINGWALL_KIND);
    EXPECT(ringwall_get(second, (const uint8_t *)"s", 1, NULL, 0, 10, &found, NULL, &answer, &len) == RINGWALL_KIND);
    EXPECT(ringwall_close(second) == RINGWALL_OK);
    opened("{}", RINGWALL_REFUSED, "RW-C-CALL-HEAD");
    uint64_t many[RINGWALL_HANDLES];
    for (int at = 0; at < RINGWALL_HANDLES; at++) {
        many[at] = opened(SEED, RINGWALL_OK, "opened");
    }
    uint8_t *frame;
    uint64_t one_more;
    size_t frame_len = framed("{}", CARD, &frame);
    EXPECT(ringwall_open(frame, frame_len, &one_more, &answer, &len) == RINGWALL_TOO_MANY_HANDLES && one_more == 0 && answer == NULL);
    free(frame);
    for (int at = 0; at < RINGWALL_HANDLES; at++) {
        EXPECT(ringwall_close(many[at]) == RINGWALL_OK);
    }
}

static void *works(void *unused)
{
    (void)unused;
    for (int round = 0; round < 40; round++) {
        uint64_t handle = opened(SEED, RINGWALL_OK, "opened");
        EXPECT(told(handle, "{\"is\":\"tick\"}", NULL) == RINGWALL_OK);
        EXPECT(ringwall_close(handle) == RINGWALL_OK);
    }
    return NULL;
}

/* A host that reaches nobody, counts, and calls the library from inside a callback. */
struct host {
    pthread_mutex_t lock;
    int dials, kept, inside;
    uint64_t now_ms;
};

static int32_t dial(void *context, uint64_t number, const uint8_t *address, size_t address_len, int32_t over, const uint8_t *certificates,
                    size_t certificates_len, uint32_t within_ms, uint8_t *shown)
{
    struct host *host = context;
    uint8_t *answer;
    size_t len;
    (void)number, (void)certificates, (void)within_ms, (void)shown;
    EXPECT(over == RINGWALL_OVER_NATIVE && certificates_len == 0 && address_len == strlen("127.0.0.1:9") && memcmp(address, "127.0.0.1:9", address_len) == 0);
    pthread_mutex_lock(&host->lock);
    host->dials++;
    host->inside = ringwall_card(NULL, 0, &answer, &len) == RINGWALL_REENTRANT && ringwall_close(1) == RINGWALL_REENTRANT;
    pthread_mutex_unlock(&host->lock);
    return -1;
}

static int32_t no_send(void *context, uint64_t number, const uint8_t *bytes, size_t len)
{
    (void)context, (void)number, (void)bytes, (void)len;
    return -1;
}

static int64_t no_receive(void *context, uint64_t number, uint8_t *into, size_t room, uint32_t within_ms)
{
    (void)context, (void)number, (void)into, (void)room, (void)within_ms;
    return -1;
}

static void no_hang_up(void *context, uint64_t number, int32_t well)
{
    (void)context, (void)number, (void)well;
}

static uint64_t now_ms(void *context)
{
    return ++((struct host *)context)->now_ms;
}

static uint64_t now_s(void *context)
{
    (void)context;
    return 1800000000;
}

static int32_t random_bytes(void *context, uint8_t *into, size_t len)
{
    (void)context;
    memset(into, 5, len);
    return 0;
}

static int32_t keep(void *context, const uint8_t *bytes, size_t len)
{
    (void)bytes, (void)len;
    ((struct host *)context)->kept++;
    return 0;
}

static void connected(void)
{
    struct host host = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, 0};
    ringwall_host functions = {sizeof functions, &host, dial, no_send, no_receive, no_hang_up, now_ms, now_s, random_bytes, keep, NULL, NULL};
    char head[256];
    uint8_t *frame, *answer;
    size_t len;
    uint64_t handle = 0, version = 7;
    snprintf(head, sizeof head, "{\"card_bytes\":%zu,\"device\":" SEED ",\"over\":[\"native\"]}", strlen(CARD));
    size_t frame_len = framed(head, CARD, &frame);

    ringwall_host wrong = functions;
    wrong.size--;
    EXPECT(ringwall_connect(frame, frame_len, &wrong, &handle, &answer, &len) == RINGWALL_HOST);
    wrong = functions;
    wrong.keep = NULL;
    EXPECT(ringwall_connect(frame, frame_len, &wrong, &handle, &answer, &len) == RINGWALL_NULL && handle == 0);

    EXPECT(ringwall_connect(frame, frame_len, &functions, &handle, &answer, &len) == RINGWALL_OK && handle != 0 && holds(answer, len, "\"is\":\"opened\""));
    EXPECT(ringwall_free(answer, len) == RINGWALL_OK);
    EXPECT(ringwall_put(handle, (const uint8_t *)"s", 1, (const uint8_t *)"k", 1, (const uint8_t *)"v", 1, 50, &version, &answer, &len) == RINGWALL_DEADLINE);
    EXPECT(version == 0 && answer == NULL);
    EXPECT(ringwall_put(handle, (const uint8_t *)"\xff", 1, NULL, 0, NULL, 0, 50, NULL, &answer, &len) == RINGWALL_REFUSED);
    EXPECT(ringwall_free(answer, len) == RINGWALL_OK);
    EXPECT(told(handle, "{\"is\":\"tick\"}", NULL) == RINGWALL_KIND);
    EXPECT(ringwall_close(handle) == RINGWALL_OK && ringwall_close(handle) == RINGWALL_HANDLE);
    EXPECT(host.dials > 0 && host.inside);
    free(frame);
}

int main(void)
{
    EXPECT(strlen(ringwall_version()) > 0 && ringwall_words(-1) == NULL && ringwall_words(17) == NULL);
    for (int32_t status = RINGWALL_OK; status <= RINGWALL_HOST; status++) {
        EXPECT(strlen(ringwall_words(status)) > 3);
    }
    pointers_and_lengths();
    memory();
    handles();
    pthread_t threads[2];
    for (int at = 0; at < 2; at++) {
        EXPECT(pthread_create(&threads[at], NULL, works, NULL) == 0);
    }
    for (int at = 0; at < 2; at++) {
        EXPECT(pthread_join(threads[at], NULL) == 0);
    }
    connected();
    puts("every mistake was told");
    return 0;
}
