/*
 * plain_mhd - the least that libmicrohttpd can answer, as a measure for the service: the same kind
 * of daemon, a body of two bytes, one header. Prints the port it listens on; ends with its stdin.
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <unistd.h>

enum { THREADS = 2 };

static enum MHD_Result answer(void *cls, struct MHD_Connection *m, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *size, void **context)
{
	static int seen;
	static char ok[] = "ok";
	(void)cls, (void)url, (void)method, (void)version, (void)data, (void)size;
	if (!*context) {
		*context = &seen;
		return MHD_YES;
	}
	struct MHD_Response *r = MHD_create_response_from_buffer(2, ok, MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(r, "Content-Type", "text/plain");
	enum MHD_Result result = MHD_queue_response(m, 200, r);
	MHD_destroy_response(r);
	return result;
}

int main(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct MHD_Daemon *d = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR,
		&at, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_END);
	if (!d)
		return 1;
	printf("%u\n", MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
	fflush(stdout);
	char end;
	while (read(STDIN_FILENO, &end, 1) > 0)
		;
	MHD_stop_daemon(d);
	return 0;
}
