/*
 * http_fault - how libcurl's words for trouble become ours. Moves no byte.
 */
#include "http_fault.h"

#include <curl/curl.h>

enum http_fault http_fault_of(void *easy, int code)
{
	curl_off_t connected = 0;
	switch (code) {
	case CURLE_OK:
		return HTTP_FAULT_NONE;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_PROXY:
		return HTTP_FAULT_CONNECT;
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
		return connected > 0 ? HTTP_FAULT_TIMEOUT : HTTP_FAULT_CONNECT;
	case CURLE_PARTIAL_FILE:
		return HTTP_FAULT_SHORT;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_FAIL_REWIND:
		return HTTP_FAULT_RESET;
	default:
		return HTTP_FAULT_PROTOCOL;
	}
}

/* How far an exchange came that got no connection. */
enum http_cause http_cause_of(void *easy, int code, bool refused)
{
	curl_off_t named = 0, connected = 0;
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return HTTP_CAUSE_NAME;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return HTTP_CAUSE_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &named);
		curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME_T, &connected);
		return !named ? HTTP_CAUSE_NAME : connected ? HTTP_CAUSE_TLS : HTTP_CAUSE_ADDRESS;
	default:
		return refused ? HTTP_CAUSE_REFUSED : HTTP_CAUSE_ADDRESS;
	}
}
