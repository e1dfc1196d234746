/* A program that is careless with what the library handed out: careless leak, careless overrun, careless late.

   Decides: nothing. Shows that the memory checker of the tests notices what C programs do to this library's memory. Trusts: nothing. Out of scope: everything else. */
#include "ringwall.h"

#include <stdio.h>
#include <string.h>

int main(int count, char **words)
{
    static const uint8_t FRAME[] = {2, 0, 0, 0, '{', '}', 'x'};
    uint8_t *answer;
    size_t len;
    volatile uint8_t seen = 0;
    if (count != 2 || ringwall_card(FRAME, sizeof FRAME, &answer, &len) != RINGWALL_REFUSED) {
        return 2;
    }
    if (strcmp(words[1], "overrun") == 0) {
        seen = answer[len];
    }
    if (strcmp(words[1], "leak") != 0) {
        ringwall_free(answer, len);
    }
    if (strcmp(words[1], "late") == 0) {
        seen = answer[0];
    }
    answer = NULL;
    printf("%d\n", seen == 0);
    return 0;
}
