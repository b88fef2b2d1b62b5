/*
 * embed - the assembler puts the files in (.incbin). Their paths are relative to the root of the
 * source tree; the Makefile tells the assembler where that is, and what embed.o depends on.
 */
#include "embed.h"

#define EMBED(name, path)                                                                          \
	__asm__(".pushsection .rodata\n"                                                           \
		".balign 16\n"                                                                     \
		".globl embed_" #name "\n"                                                         \
		".hidden embed_" #name "\n"                                                        \
		"embed_" #name ":\n"                                                               \
		".incbin \"" path "\"\n"                                                           \
		".globl embed_" #name "_end\n"                                                     \
		".hidden embed_" #name "_end\n"                                                    \
		"embed_" #name "_end:\n"                                                           \
		".byte 0\n"                                                                        \
		".popsection\n");                                                                  \
	extern const char embed_##name[], embed_##name##_end[]

EMBED(openapi, "docs/openapi.json");
EMBED(docs_html, "web/docs.html");
EMBED(docs_css, "web/docs.css");
EMBED(docs_js, "web/docs.js");

static const struct {
	const char *start, *end;
} files[EMBED_COUNT] = {
	[EMBED_OPENAPI] = {embed_openapi, embed_openapi_end},
	[EMBED_DOCS_HTML] = {embed_docs_html, embed_docs_html_end},
	[EMBED_DOCS_CSS] = {embed_docs_css, embed_docs_css_end},
	[EMBED_DOCS_JS] = {embed_docs_js, embed_docs_js_end},
};

const char *embed_data(enum embed file)
{
	return files[file].start;
}

size_t embed_size(enum embed file)
{
	return (size_t)(files[file].end - files[file].start);
}
