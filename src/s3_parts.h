/*
 * s3_parts - what the files of uploads share: the upload itself and the steps of large ones.
 * Nobody else includes this.
 */
#ifndef AUTOS_S3_PARTS_H
#define AUTOS_S3_PARTS_H

#include "s3_upload.h"

enum { S3_SLOTS_MAX = 16 };

enum s3_part_state { PART_OPEN, PART_UNDER_WAY, PART_THERE };

struct s3_part {
	enum s3_part_state state;
	unsigned char md5[16]; /* of our bytes, once hashed */
	char *etag;            /* owned; the server's, of our bytes */
	char *known;           /* owned; ETag of a part that an earlier upload left, or NULL */
	int64_t known_size;
	int wrong; /* times its ETag was another */
};

/* One part on its way. */
struct s3_slot {
	struct s3_upload *upload;
	size_t part;
	bool busy;
	struct s3_op op;
};

/* An object at the key that is as long as our body, on its way to be known (s3_proof.c). */
struct s3_proof {
	struct md5 *md5;       /* owned, NULL = none; of our bytes, or of their parts' MD5s */
	struct sha256 *sha256; /* owned, NULL = none; of what is read back */
	int64_t at;            /* bytes that went into it */
	bool in_parts;
	char etag[64]; /* as the server says it, without quotes */
};

/* An unfinished upload that nobody goes on with. */
struct s3_stray {
	char *key, *id; /* owned */
};

struct s3_upload {
	struct s3_target target;
	struct put *put;                       /* borrowed until it is finished */
	struct s3_op op;                       /* the call of the moment; parts have their own */
	void (*on_absent)(struct s3_upload *); /* what s3_upload_look is followed by */
	unsigned char md5[16];
	int wrong;     /* times other bytes were stored than ours */
	bool unlike;   /* an ETag was not that of the bytes that were sent */
	bool renamed;  /* its key was taken by other bytes */
	bool ours;     /* the object at the key is the one that this upload completed ... */
	char etag[64]; /* ... with this ETag */
	struct s3_proof proof;

	/* in parts */
	char *id;                /* owned; of the multipart upload */
	struct s3_stray *strays; /* owned; older uploads of the keys that it had */
	size_t nstrays;
	struct s3_part *parts; /* owned */
	size_t nparts, next, there;
	int64_t part_size;
	struct s3_slot *slots; /* owned; s3_part_parallel of them */
	size_t flying;
	bool anew;         /* do not look for an upload to go on with */
	bool resumed;      /* goes on with one */
	bool doubtful;     /* a request that began one was sent twice */
	bool blind;        /* ETags of its parts are no MD5 */
	bool unproven;     /* nor is what the answer to completing it said */
	struct err failed; /* no more parts are sent; kind NONE = all is well */
};

/* ---- s3_resume.c ---- */

void s3_parts_begin(struct s3_upload *u); /* the key is known to be free */

/* It went well: aborts the strays, also what a lost answer may have left, and ends the upload. */
void s3_strays_end(struct s3_upload *u);
void s3_strays_release(struct s3_upload *u);

/* ---- s3_parts.c ---- */

int64_t s3_parts_length(const struct s3_upload *u); /* of all parts but the last */
void s3_parts_prepare(struct s3_upload *u); /* as many parts as the body needs, none known */
void s3_parts_send(struct s3_upload *u);    /* what is not there; then the upload is completed */
void s3_parts_give_up(struct s3_upload *u); /* for the reason u->failed; no part is in flight */
void s3_parts_release(struct s3_upload *u); /* what belongs to one try; strays outlive it */

/* ---- s3_proof.c ---- */

/* How many parts an ETag without quotes tells: 0 = it can be the MD5 of an object or a part, -1 =
 * it is no MD5 and cannot be compared. */
int64_t s3_etag_parts(const char *etag);

/* Finds out whether the object at the key, which is as long as our body and has this ETag, has our
 * bytes: s3_upload_known is called, on_absent when it is gone meanwhile, or the upload ends. */
void s3_proof_begin(struct s3_upload *u, const char *said);
void s3_proof_release(struct s3_upload *u);

/* ---- s3_upload.c ---- */

/* Adds a range of the body to hashes; s may be NULL. */
[[nodiscard]] bool s3_upload_add(const struct spool *body, int64_t from, int64_t len, struct md5 *m,
				 struct sha256 *s, struct err *e);

/* MD5, and SHA-256 unless NULL, of a range of the body. */
[[nodiscard]] bool s3_upload_hash(const struct spool *body, int64_t from, int64_t len,
				  unsigned char md5[16], char sha256[65], struct err *e);

/* Starts u->op. */
void s3_upload_ask(struct s3_upload *u, void (*done)(struct s3_op *));

/* Asks for the key: ends the upload if our bytes are there, takes another key if others are. */
void s3_upload_look(struct s3_upload *u, void (*on_absent)(struct s3_upload *));

/* The key is taken, by our bytes or by others. */
void s3_upload_known(struct s3_upload *u, bool same);

/* Removes the object that was just stored wrong, and begins again. */
void s3_upload_wrong(struct s3_upload *u);

struct s3_object s3_upload_object(const struct s3_upload *u, const char *md5);
bool s3_upload_etag_is(const struct s3_upload *u, const char *etag, const char *expected);

/* Over: with NULL it went well. Frees u. */
void s3_upload_end(struct s3_upload *u, const struct err *why);

#endif
