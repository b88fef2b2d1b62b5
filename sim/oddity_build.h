/*
 * oddity_build - builders of the case files whose contents, not only their answers, are odd.
 */
#ifndef SIM_ODDITY_BUILD_H
#define SIM_ODDITY_BUILD_H

#include "cases.h"

/* Each fills a case file that is still empty; the catalogue numbers and measures it afterwards. */
typedef void odd_build(const struct catalog *c, struct dossier *d);

odd_build odd_detail_object, odd_detail_content, odd_detail_empty_array, odd_detail_hidden,
	odd_detail_other_number;
odd_build odd_list_bare, odd_list_content, odd_list_data, odd_list_total_object,
	odd_list_cursor_underscore, odd_list_cursor_next, odd_list_paged, odd_list_paged_late,
	odd_list_cursor_loop, odd_list_ignores_filter, odd_list_empty;
odd_build odd_only_current, odd_only_others, odd_two_sources, odd_moved_court, odd_same_content;
odd_build odd_ids_strings, odd_ids_numbers, odd_numeric_parties;
odd_build odd_no_arquivo, odd_arquivo_wrong, odd_no_documents;
odd_build odd_href_missing, odd_href_none, odd_href_prefixed, odd_href_absolute, odd_href_foreign;
odd_build odd_secrecy, odd_names, odd_dates, odd_big_case, odd_big_document, odd_kinds,
	odd_tiny_html, odd_too_large;
odd_build odd_sealed, odd_everything, odd_everything_holds;

#endif
