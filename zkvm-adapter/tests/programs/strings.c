// Characters: searching, copying over itself, base64, checksums, numbers as text, fields that are not aligned.

#include "runtime.h"

#include <stdarg.h>

static const char text[] =
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was the season of "
    "Darkness, it was the spring of hope, it was the winter of despair";

char formatted[512], encoded[512], decoded[512], moved[512], reversed[512];
uint32_t crc, adler, letters[26], found[8];
size_t lengths[4];

struct __attribute__((packed)) packet {
    uint8_t kind;
    uint32_t sequence;
    uint16_t length;
    int64_t time;
    uint8_t body[7];
} packets[5];

static size_t length(const char *of) {
    const char *end = of;
    while (*end) ++end;
    return (size_t)(end - of);
}

static char *put_number(char *out, uint32_t value, uint32_t base, int least) {
    char buffer[33], *at = buffer;
    do *at++ = "0123456789abcdef"[value % base];
    while ((value /= base) || at - buffer < least);
    while (at > buffer) *out++ = *--at;
    return out;
}

__attribute__((format(printf, 2, 3))) static char *format(char *out, const char *how, ...) {
    va_list arguments;
    va_start(arguments, how);
    for (; *how; ++how) {
        if (*how != '%') {
            *out++ = *how;
            continue;
        }
        if (*++how == 'l') ++how;
        switch (*how) {
        case 'd': {
            int value = va_arg(arguments, int);
            if (value < 0) *out++ = '-';
            out = put_number(out, value < 0 ? -(uint32_t)value : (uint32_t)value, 10, 1);
            break;
        }
        case 'u': out = put_number(out, va_arg(arguments, uint32_t), 10, 1); break;
        case 'x': out = put_number(out, va_arg(arguments, uint32_t), 16, 8); break;
        case 'c': *out++ = (char)va_arg(arguments, int); break;
        case 's':
            for (const char *from = va_arg(arguments, const char *); *from;) *out++ = *from++;
            break;
        default: *out++ = *how;
        }
    }
    va_end(arguments);
    *out = 0;
    return out;
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void encode(char *out, const char *from, size_t left) {
    for (; left; from += 3, left -= left < 3 ? left : 3) {
        uint32_t bits = (uint8_t)from[0] << 16 | (left > 1 ? (uint8_t)from[1] << 8 : 0) | (left > 2 ? (uint8_t)from[2] : 0);
        for (int i = 0; i < 4; ++i) *out++ = i <= (int)(left < 3 ? left : 3) ? base64[bits >> (18 - 6 * i) & 63] : '=';
    }
    *out = 0;
}

static void decode(char *out, const char *from) {
    uint32_t bits = 0;
    int count = 0;
    for (; *from && *from != '='; ++from) {
        const char *place = base64;
        while (*place != *from) ++place;
        bits = bits << 6 | (uint32_t)(place - base64);
        if ((count += 6) >= 8) *out++ = (char)(bits >> (count -= 8));
    }
}

static const char *search(const char *in, const char *what) {
    for (; *in; ++in) {
        size_t same = 0;
        while (what[same] && in[same] == what[same]) ++same;
        if (!what[same]) return in;
    }
    return 0;
}

void program(void) {
    char *out = format(formatted, "%d %d %lu %lx %c%s%%\n", -2147483647 - 1, 2147483647, 4294967295ul, 0xbeeful, '<', "text");
    for (int i = 0; i < 20; ++i) out = format(out, "%d:%lu ", i * i * (i % 2 ? -1 : 1), next_random());
    encode(encoded, text, length(text));
    decode(decoded, encoded);
    lengths[0] = length(formatted), lengths[1] = length(encoded), lengths[2] = length(decoded);
    lengths[3] = (size_t)memcmp(decoded, text, sizeof text);

    const char *words[8] = {"it was", "Light", "epoch of i", "despair", "nowhere", "", "s", "times, i"};
    for (int i = 0; i < 8; ++i) {
        const char *at = search(text, words[i]);
        found[i] = at ? (uint32_t)(at - text) : ~0u;
    }
    memcpy(moved, text, sizeof text);
    memmove(moved + 3, moved, 100);
    memmove(moved + 200, moved + 207, 60);
    for (size_t i = 0; i + 1 < sizeof text; ++i) reversed[sizeof text - 2 - i] = text[i];

    uint32_t a = 1, b = 0;
    crc = ~0u;
    for (const char *at = text; *at; ++at) {
        crc ^= (uint8_t)*at;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        a = (a + (uint8_t)*at) % 65521;
        b = (b + a) % 65521;
        char lower = *at | 32;
        if (lower >= 'a' && lower <= 'z') letters[lower - 'a']++;
    }
    crc = ~crc;
    adler = b << 16 | a;

    for (int i = 0; i < 5; ++i) {
        struct packet *packet = &packets[i];
        packet->kind = (uint8_t)(200 + i);
        packet->sequence = next_random();
        packet->length = (uint16_t)(packet->sequence >> 3);
        packet->time = (int64_t)(int32_t)packet->sequence * -1000;
        memset(packet->body, packet->length, sizeof packet->body);
        if (i) packet->sequence += packets[i - 1].sequence ^ (uint32_t)packets[i - 1].time;
    }
}
