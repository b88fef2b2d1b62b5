/*
 * notify - tells the program that started this one how it stands.
 *
 * The protocol of sd_notify(3): a datagram of lines NAME=VALUE to the socket that NOTIFY_SOCKET
 * names. Without that variable, or when nobody listens there, nothing happens: no service fails
 * because its manager does not listen.
 */
#ifndef AUTOS_NOTIFY_H
#define AUTOS_NOTIFY_H

/* Sends one message, such as "READY=1"; lines are separated by newlines. */
void notify_manager(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
