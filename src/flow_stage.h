/*
 * flow_stage - what the files of `flow` share: the stages and the ends of questions. Nobody else
 * includes this.
 */
#ifndef AUTOS_FLOW_STAGE_H
#define AUTOS_FLOW_STAGE_H

#include "flow.h"

extern const struct stage stage_list, stage_detail, stage_fetch;

/* The link of this document that was asked will not give the bytes; another may, or it fails. */
void flow_doc_refused(struct flow *f, struct task *t, const struct portal_verdict *v);

/* LIST or DETAIL will not be answered any better: decides how the case goes on or ends. */
void flow_case_refused(struct flow *f, struct task *t, const struct portal_verdict *v);

/* Moves to the next link that is alive, round and round. False when a round is over. */
bool flow_doc_next_ref(struct run_doc *d);

void flow_task_free(struct task *t);

#endif
