/* Verifies a saved exchange against a card, without a network: verify CARD EXCHANGE.

   Decides: nothing; the library judges, with the vendors' roots that are compiled into it. Prints the card's account and the judgement's, each one line of JSON.
   Trusts: the library. Out of scope: sessions. Ends with 0 where the node was believed, 1 where it was not, 2 where there was nothing to judge.

   cc -std=c11 -I client/ffi/include verify.c -L target/release -lringwall_ffi -o verify */
#include "ringwall.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct bytes {
    uint8_t *at;
    size_t len;
};

/* A file as it is, at most `most` bytes. */
static int read_file(const char *path, size_t most, struct bytes *file)
{
    FILE *open = fopen(path, "rb");
    size_t room = 0;
    file->at = NULL;
    file->len = 0;
    while (open != NULL) {
        if (file->len == room) {
            uint8_t *wider = room < most ? realloc(file->at, room + 65536) : NULL;
            if (wider == NULL) {
                break;
            }
            file->at = wider;
            room += 65536;
        }
        size_t got = fread(file->at + file->len, 1, room - file->len, open);
        file->len += got;
        if (got == 0 && feof(open)) {
            fclose(open);
            return 0;
        }
        if (got == 0) {
            break;
        }
    }
    fprintf(stderr, "%s cannot be read, or is too large\n", path);
    if (open != NULL) {
        fclose(open);
    }
    return 2;
}

/* A frame: length of the head, the head, then what is in `first` and `second`. */
static struct bytes framed(const char *head, struct bytes first, struct bytes second)
{
    size_t len = strlen(head);
    struct bytes frame = {malloc(4 + len + first.len + second.len), 4 + len + first.len + second.len};
    if (frame.at == NULL) {
        abort();
    }
    for (int byte = 0; byte < 4; byte++) {
        frame.at[byte] = (uint8_t)(len >> (8 * byte));
    }
    memcpy(frame.at + 4, head, len);
    if (first.len > 0) {
        memcpy(frame.at + 4 + len, first.at, first.len);
    }
    if (second.len > 0) {
        memcpy(frame.at + 4 + len + first.len, second.at, second.len);
    }
    return frame;
}

/* Prints the head of an answer's first frame; whether it holds `wanted`. A quote inside a JSON text is escaped, so a field that is looked for with its quotes is a field. */
static int shows(struct bytes answer, const char *wanted)
{
    uint32_t len = 0;
    if (answer.len < 8) {
        return 0;
    }
    for (int byte = 0; byte < 4; byte++) {
        len |= (uint32_t)answer.at[4 + byte] << (8 * byte);
    }
    if (len > answer.len - 8) {
        return 0;
    }
    printf("%.*s\n", (int)len, (const char *)answer.at + 8);
    size_t size = strlen(wanted);
    for (size_t at = 0; at + size <= len; at++) {
        if (memcmp(answer.at + 8 + at, wanted, size) == 0) {
            return 1;
        }
    }
    return 0;
}

typedef int32_t (*question)(const uint8_t *, size_t, uint8_t **, size_t *);

/* Asks, prints, frees. 0: the answer holds `wanted`; 1: it does not; 2: there was none. */
static int ask(question asked, struct bytes frame, const char *wanted)
{
    struct bytes answer;
    int32_t status = asked(frame.at, frame.len, &answer.at, &answer.len);
    int found = shows(answer, wanted);
    free(frame.at);
    if (status != RINGWALL_OK) {
        fprintf(stderr, "%s\n", ringwall_words(status));
    }
    ringwall_free(answer.at, answer.len);
    return status != RINGWALL_OK ? 2 : !found;
}

int main(int count, char **words)
{
    struct bytes card = {NULL, 0}, exchange = {NULL, 0}, none = {NULL, 0};
    char head[96];
    int end = 2;
    if (count != 3) {
        fprintf(stderr, "usage: %s CARD EXCHANGE\nringwall %s\n", words[0], ringwall_version());
        return 2;
    }
    if (read_file(words[1], RINGWALL_FRAME_BYTES / 2, &card) == 0 && read_file(words[2], RINGWALL_FRAME_BYTES / 2, &exchange) == 0) {
        snprintf(head, sizeof head, "{\"now_s\":%" PRIu64 ",\"card_bytes\":%zu}", (uint64_t)time(NULL), card.len);
        end = ask(ringwall_card, framed("{}", card, none), "\"is\":\"card\"");
        if (end == 0) {
            end = ask(ringwall_verify, framed(head, card, exchange), "\"verdict\":\"accepted\"");
        }
    }
    free(card.at);
    free(exchange.at);
    return end;
}
