/*
 * contract - compares an answer with its schema in docs/openapi.json, as it is inside the program.
 * Knows the words of JSON Schema that the description uses for bodies.
 */
#ifndef AUTOS_CONTRACT_H
#define AUTOS_CONTRACT_H

#include "embed.h"
#include "scratch.h"

#include <jansson.h>

struct contract {
	json_t *api;
	char path[400]; /* of the value that is looked at */
};

static inline void contract_open(struct contract *c)
{
	*c = (struct contract){0};
	c->api = json_loadb(embed_data(EMBED_OPENAPI), embed_size(EMBED_OPENAPI), 0, NULL);
	assert_non_null(c->api);
}

static inline void contract_close(struct contract *c)
{
	json_decref(c->api);
}

static inline json_t *contract_schema(const struct contract *c, const char *name)
{
	json_t *all = json_object_get(json_object_get(c->api, "components"), "schemas");
	json_t *schema = json_object_get(all, name);
	if (!schema)
		fail_msg("no schema %s", name);
	return schema;
}

static inline bool contract_is(const json_t *value, const char *type)
{
	static const char *const names[] = {"object", "array", "string", "integer",
					    "number", "true",  "false",  "null"};
	bool truth = json_is_boolean(value) && strcmp(type, "boolean") == 0;
	bool number = json_is_number(value) && strcmp(type, "number") == 0;
	return truth || number || strcmp(names[json_typeof(value)], type) == 0;
}

static inline bool contract_type_fits(const json_t *type, const json_t *value)
{
	size_t i;
	json_t *one;
	if (!type)
		return true;
	if (json_is_string(type))
		return contract_is(value, json_string_value(type));
	json_array_foreach(type, i,
			   one) if (contract_is(value, json_string_value(one))) return true;
	return false;
}

static inline bool contract_listed(const json_t *list, const json_t *value)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one) if (json_equal(one, value)) return true;
	return !list;
}

/* NULL, or what does not fit; c->path says where. */
static inline const char *contract_fault(struct contract *c, json_t *schema, json_t *value);

static inline const char *contract_object(struct contract *c, json_t *schema, json_t *value)
{
	size_t i, len = strlen(c->path);
	json_t *one, *known = json_object_get(schema, "properties");
	json_t *others = json_object_get(schema, "additionalProperties");
	const char *name;
	json_array_foreach(json_object_get(schema, "required"), i,
			   one) if (!json_object_get(value, json_string_value(one)))
	{
		snprintf(c->path + len, sizeof c->path - len, "/%s", json_string_value(one));
		return "is missing";
	}
	json_object_foreach(value, name, one)
	{
		json_t *of = json_object_get(known, name);
		if (!of && json_is_false(others))
			return "has more members than it may";
		if (!of && !json_is_object(others))
			continue;
		snprintf(c->path + len, sizeof c->path - len, "/%s", name);
		const char *fault = contract_fault(c, of ? of : others, one);
		if (fault)
			return fault;
		c->path[len] = '\0';
	}
	return NULL;
}

static inline const char *contract_array(struct contract *c, json_t *schema, json_t *value)
{
	size_t i, len = strlen(c->path);
	json_t *one, *of = json_object_get(schema, "items");
	json_array_foreach(value, i, one)
	{
		snprintf(c->path + len, sizeof c->path - len, "/%zu", i);
		const char *fault = of ? contract_fault(c, of, one) : NULL;
		if (fault)
			return fault;
		c->path[len] = '\0';
	}
	return NULL;
}

static inline const char *contract_scalar(const json_t *schema, const json_t *value)
{
	const json_t *min = json_object_get(schema, "minimum");
	const json_t *max = json_object_get(schema, "maximum");
	const json_t *least = json_object_get(schema, "minLength");
	const json_t *constant = json_object_get(schema, "const");
	if (!contract_listed(json_object_get(schema, "enum"), value))
		return "is none of the words it may be";
	if (constant && !json_equal(constant, value))
		return "is not what it always is";
	if (min && json_is_number(value) && json_number_value(value) < json_number_value(min))
		return "is too small";
	if (max && json_is_number(value) && json_number_value(value) > json_number_value(max))
		return "is too large";
	if (least && json_is_string(value) &&
	    (json_int_t)json_string_length(value) < json_integer_value(least))
		return "is too short";
	return NULL;
}

static inline const char *contract_fault(struct contract *c, json_t *schema, json_t *value)
{
	size_t i;
	json_t *one, *any = json_object_get(schema, "anyOf");
	const char *ref = json_string_value(json_object_get(schema, "$ref")), *fault = NULL;
	if (ref)
		return contract_fault(c, contract_schema(c, strrchr(ref, '/') + 1), value);
	json_array_foreach(any, i, one)
	{
		fault = contract_fault(c, one, value);
		if (!fault)
			break;
	}
	if (fault)
		return "fits none of its kinds";
	if (!contract_type_fits(json_object_get(schema, "type"), value))
		return "has the wrong type";
	fault = contract_scalar(schema, value);
	if (!fault && json_is_object(value))
		fault = contract_object(c, schema, value);
	if (!fault && json_is_array(value))
		fault = contract_array(c, schema, value);
	return fault;
}

/* The value is what the schema of this name says. */
static inline void assert_contract(struct contract *c, const char *name, json_t *value)
{
	assert_non_null(value);
	snprintf(c->path, sizeof c->path, "%s", name);
	const char *fault = contract_fault(c, contract_schema(c, name), value);
	if (fault)
		fail_msg("%s %s", c->path, fault);
}

#endif
