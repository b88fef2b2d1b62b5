/*
 * text - synthetic words. Owns the vocabulary; never touches a request or a file.
 */
#include "text.h"

#include <assert.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char *const starts[] = {
	"Trata-se de ação sintética",      "Vistos e examinados os autos",
	"Intime-se a parte sintética",     "Certifico e dou fé que",
	"Nos termos da decisão anterior",  "Diante da manifestação retro",
	"O presente documento simulado",   "Requer a juntada da petição",
	"Considerando a certidão lavrada", "Cumpra-se o mandado expedido",
};

static const char *const middles[] = {
	"que tramita perante este juízo simulado",
	"para que se manifeste no prazo de quinze dias",
	"conforme a documentação acostada às folhas anteriores",
	"sem prejuízo da apreciação das questões preliminares",
	"observada a gratuidade da justiça já concedida",
	"na forma do código de processo, § 1º e seguintes",
	"com a devida atualização monetária até o efetivo pagamento",
	"cujo teor não se refere a nenhuma pessoa existente",
};

static const char *const ends[] = {
	"sob pena de preclusão.",           "e venham os autos conclusos.",
	"para os devidos fins de direito.", "como de costume.",
	"com as cautelas de praxe.",        "e após arquive-se.",
};

/* Reads one character of UTF-8 text that is known to hold Latin-1 characters only. */
static unsigned take(const char **s)
{
	unsigned char c = (unsigned char)*(*s)++;
	if (c < 0x80)
		return c;
	unsigned char d = (unsigned char)*(*s)++;
	return ((c & 0x1fU) << 6) | (d & 0x3fU);
}

void text_escape(struct buf *out, const char *s, enum text_as as)
{
	if (as == TEXT_PLAIN || as == TEXT_HTML) {
		buf_adds(out, s);
		return;
	}
	while (*s) {
		unsigned c = take(&s);
		char ascii = (char)c;
		if (c >= 0x80)
			buf_addf(out, as == TEXT_PDF ? "\\%03o" : "\\'%02x", c);
		else if (strchr("()\\{}", ascii))
			buf_addf(out, "\\%c", ascii);
		else
			buf_add(out, &ascii, 1);
	}
}

/* Every phrase in every form, made once: documents are made thousands of times a second. */
enum { PHRASES_MAX = 10, PHRASE_MAX = 160, FORMS = TEXT_RTF + 1 };
struct phrases {
	char text[PHRASES_MAX][PHRASE_MAX];
	size_t len[PHRASES_MAX];
	size_t n;
};
static struct phrases phrases[FORMS][3];
static pthread_once_t phrases_once = PTHREAD_ONCE_INIT;

static void make_phrases(struct phrases *p, const char *const *list, size_t n, enum text_as as)
{
	struct buf b;
	buf_init(&b, PHRASE_MAX - 1);
	p->n = n;
	for (size_t i = 0; i < n; i++) {
		buf_clear(&b);
		text_escape(&b, list[i], as);
		assert(!b.overflow);
		memcpy(p->text[i], b.data, b.len);
		p->len[i] = b.len;
	}
	buf_release(&b);
}

static void make_all_phrases(void)
{
	for (int as = 0; as < FORMS; as++) {
		make_phrases(&phrases[as][0], starts, sizeof starts / sizeof starts[0],
			     (enum text_as)as);
		make_phrases(&phrases[as][1], middles, sizeof middles / sizeof middles[0],
			     (enum text_as)as);
		make_phrases(&phrases[as][2], ends, sizeof ends / sizeof ends[0], (enum text_as)as);
	}
}

void text_sentence(struct buf *out, struct mix *m, enum text_as as)
{
	pthread_once(&phrases_once, make_all_phrases);
	for (int part = 0; part < 3; part++) {
		const struct phrases *p = &phrases[as][part];
		size_t i = (size_t)mix_below(m, p->n);
		if (part)
			buf_adds(out, as == TEXT_HTML && part == 1 && i % 4 == 0 ? "&nbsp;" : " ");
		buf_add(out, p->text[i], p->len[i]);
	}
}

static unsigned cpf_digit(const char *digits, unsigned n)
{
	unsigned sum = 0;
	for (unsigned i = 0; i < n; i++)
		sum += (unsigned)(digits[i] - '0') * (n + 1 - i);
	unsigned rest = sum * 10 % 11;
	return rest == 10 ? 0 : rest;
}

void text_cpf(unsigned a, unsigned b, char out[static 12])
{
	char digits[12];
	snprintf(digits, sizeof digits, "000%05u%01u00", a % 100000, b % 10);
	digits[9] = (char)('0' + cpf_digit(digits, 9));
	digits[10] = (char)('0' + cpf_digit(digits, 10));
	/* One off in both places: nobody can have this number. */
	digits[9] = (char)('0' + (digits[9] - '0' + 1) % 10);
	digits[10] = (char)('0' + (digits[10] - '0' + 1) % 10);
	memcpy(out, digits, sizeof digits);
}

bool text_cpf_read(const char *s, unsigned *a, unsigned *b)
{
	char digits[12] = "", again[12];
	size_t n = 0;
	for (; *s; s++) {
		if (!isdigit((unsigned char)*s))
			continue;
		if (n == 11)
			return false;
		digits[n++] = *s;
	}
	if (n != 11)
		return false;
	if (sscanf(digits, "000%5u%1u", a, b) != 2)
		return false;
	text_cpf(*a, *b, again);
	return strcmp(digits, again) == 0;
}
