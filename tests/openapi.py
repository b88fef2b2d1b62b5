#!/usr/bin/python3
"""Checks docs/openapi.json: references, schemas, examples, names, parameters; and that the program's tables of
routes and of problems say the same.

Whether the service answers as it says is the whole-program tests' duty; see tests/e2e/api.py.
"""
import json
import os
import re
import sys

import jsonschema

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
bad = []


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()


def no_twins(pairs):
    keys = [k for k, _ in pairs]
    for k in {k for k in keys if keys.count(k) > 1}:
        bad.append(f"the member {k} stands twice in one object")
    return dict(pairs)


def nodes(value, where="#"):
    """Every value of the document, with its JSON pointer."""
    yield where, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for k, v in items:
        yield from nodes(v, where + "/" + str(k).replace("~", "~0").replace("/", "~1"))


def resolve(doc, value):
    """What a reference names, through any number of them; KeyError when it names nothing."""
    while isinstance(value, dict) and "$ref" in value and value["$ref"].startswith("#/"):
        target = doc
        for part in value["$ref"][2:].split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        value = target
    return value


def check_references(doc):
    named = set()
    for where, node in nodes(doc):
        if not isinstance(node, dict) or not isinstance(node.get("$ref"), str):
            continue
        named.add(node["$ref"])
        try:
            resolve(doc, node)
        except (KeyError, TypeError):
            bad.append(f"{where}: {node['$ref']} is not there")
    for kind, parts in doc["components"].items():
        for name in parts:
            if kind != "securitySchemes" and f"#/components/{kind}/{name}" not in named:
                bad.append(f"components/{kind}/{name}: nothing refers to it")


def check(doc, where, schema, value):
    """One example against its schema."""
    whole = {"$schema": doc["jsonSchemaDialect"], "components": doc["components"], "allOf": [schema]}
    for e in jsonschema.Draft202012Validator(whole).iter_errors(value):
        bad.append(f"{where}: the example is wrong at /{'/'.join(map(str, e.absolute_path))}: {e.message[:300]}")


def is_schema(where):
    return re.search(r"/(schema|schemas/[^/]+)$", where)


def check_schemas(doc):
    for where, node in nodes(doc):
        if is_schema(where):
            try:
                jsonschema.Draft202012Validator.check_schema(node)
            except jsonschema.SchemaError as e:
                bad.append(f"{where}: no valid schema: {e.message[:300]}")


def check_examples(doc):
    for where, node in nodes(doc):
        for i, example in enumerate(node.get("examples", []) if is_schema(where) else []):
            check(doc, f"{where}/examples/{i}", node, example)
        if isinstance(node, dict) and "schema" in node and "example" in node:
            check(doc, where + "/example", node["schema"], node["example"])


def check_object_schemas(doc):
    """Members that are required are described: a typing error would pass unseen otherwise."""
    for where, node in nodes(doc):
        if isinstance(node, dict) and isinstance(node.get("required"), list) and "properties" in node:
            for name in node["required"]:
                if name not in node["properties"]:
                    bad.append(f"{where}: {name} is required and not described")


def check_operation(doc, path, method, op, ids):
    where = f"{method.upper()} {path}"
    if not re.fullmatch("[a-z][a-z_]*", op.get("operationId", "")) or op["operationId"] in ids:
        bad.append(f"{where}: no operationId of its own")
    ids.add(op.get("operationId"))
    for member in ("summary", "tags", "x-role", "responses"):
        if not op.get(member):
            bad.append(f"{where}: no {member}")
    if op.get("tags") and op["tags"][0] not in [t["name"] for t in doc["tags"]]:
        bad.append(f"{where}: the tag {op['tags'][0]} is not described")
    if op.get("x-role") not in ("none", "readonly", "user", "admin", "by setting"):
        bad.append(f"{where}: unknown role")
    if (op.get("x-role") == "none") != (op.get("security") == []):
        bad.append(f"{where}: role and security differ")
    parameters = [resolve(doc, p) for p in op.get("parameters", [])]
    names = [(p["in"], p["name"].lower()) for p in parameters]
    if len(set(names)) != len(names):
        bad.append(f"{where}: a parameter stands twice")
    declared = [p["name"] for p in parameters if p["in"] == "path"]
    if sorted(declared) != sorted(re.findall(r"\{(\w+)\}", path)):
        bad.append(f"{where}: the path and its parameters differ")
    if any(p["in"] == "path" and not p.get("required") for p in parameters):
        bad.append(f"{where}: a path parameter must be required")
    for status, response in op["responses"].items():
        check_response(doc, where, op, status, resolve(doc, response))
    if ("header", "if-none-match") in names and "304" not in op["responses"]:
        bad.append(f"{where}: If-None-Match without 304")
    if ("header", "idempotency-key") in names and not {"409", "422"} <= set(op["responses"]):
        bad.append(f"{where}: Idempotency-Key without 409 and 422")


def check_response(doc, where, op, status, response):
    where = f"{where} {status}"
    headers = {h.lower() for h in response.get("headers", {})}
    if not re.fullmatch("[2345][0-9][0-9]", status) or not response.get("description"):
        bad.append(f"{where}: not a described status")
    if "x-request-id" not in headers:
        bad.append(f"{where}: no X-Request-ID")
    if "content" in response and status[0] in "45" and "application/problem+json" not in response["content"]:
        if (op["operationId"], status) not in (("health", "503"), ("readyz", "503")):
            bad.append(f"{where}: an error that is no problem")
    needs = {"304": "etag", "302": "location", "401": "www-authenticate", "416": "content-range", "429": "retry-after", "206": "content-range"}
    if status in needs and needs[status] not in headers:
        bad.append(f"{where}: no {needs[status]}")
    example = response.get("content", {}).get("application/problem+json", {}).get("example")
    if example and example["status"] != int(status):
        bad.append(f"{where}: the example has another status")


def check_problems(doc):
    known = {p["name"]: p for p in doc["x-problem-types"]}
    if len(known) != len(doc["x-problem-types"]):
        bad.append("x-problem-types: a name stands twice")
    for where, node in nodes(doc["components"]["responses"]):
        if isinstance(node, dict) and "/problems/" in str(node.get("type")):
            name = node["type"].rsplit("/", 1)[1]
            p = known.get(name)
            if not p or (p["status"], p["title"]) != (node["status"], node["title"]):
                bad.append(f"{where}: differs from x-problem-types")
        for name in re.findall(r"\(`([a-z-]+)`\)", node) if isinstance(node, str) else []:
            if name not in known:
                bad.append(f"{where}: {name} is not in x-problem-types")


def check_program_problems(doc):
    table = re.search(r"problems\[\] = \{(.*?)\n\};", read("src/api_answer.c"), re.S)[1]
    program = {(n, int(s), t) for n, s, t in re.findall(r'\{"([^"]+)", (\d+), "([^"]+)"\}', table)}
    described = {(p["name"], p["status"], p["title"]) for p in doc["x-problem-types"]}
    for name, _, _ in sorted(program ^ described):
        bad.append(f"x-problem-types: {name} differs from the table in src/api_answer.c")


def check_program_routes(doc):
    """Name, method, path, least role, body and Idempotency-Key of each."""
    table = re.search(r"api_routes\[\] = \{(.*?)\n\};", read("src/api_route.c"), re.S)[1]
    row = re.compile(r'\{"(\w+)",\s*"(\w+)",\s*(V1\s*)?"([^"]+)",\s*ROLE_(\w+),\s*([^,]+),\s*(\w+)\}')
    program = set()
    for name, method, v1, path, role, flags, function in row.findall(table):
        if function != "route_" + name:
            bad.append(f"src/api_route.c: {name} is answered by {function}")
        program.add((name, method, ("/api/v1" if v1 else "") + path, role.lower(), "ROUTE_BODY" in flags, "ROUTE_CREATES" in flags))
    if len(program) != table.count("route_"):
        bad.append("src/api_route.c: a row cannot be read")
    described = set()
    for path, item in doc["paths"].items():
        for method, op in item.items():
            parameters = [resolve(doc, p) for p in op.get("parameters", [])]
            for p in parameters:
                path = path.replace("{" + p["name"] + "}", "{*}" if p.get("x-segments") else "{}")
            role = "none" if op["x-role"] == "by setting" else op["x-role"]
            described.add((op["operationId"], method.upper(), path, role, "requestBody" in op,
                           any(p["name"] == "Idempotency-Key" for p in parameters)))
    for row in sorted(program ^ described):
        bad.append(f"{row[0]}: differs from src/api_route.c: {row}")


def main():
    doc = json.loads(read("docs/openapi.json"), object_pairs_hook=no_twins)
    if not re.fullmatch(r"3\.1\.\d+", doc["openapi"]):
        bad.append("openapi: not 3.1")
    if doc["info"]["version"] != re.search(r"^VERSION := (\S+)$", read("Makefile"), re.M)[1]:
        bad.append("info/version: differs from the Makefile's")
    check_references(doc)
    check_schemas(doc)
    check_object_schemas(doc)
    if not bad:
        check_examples(doc)
        check_problems(doc)
        ids = set()
        for path, item in doc["paths"].items():
            for method, op in item.items():
                if method not in METHODS:
                    bad.append(f"{path}: {method} is no method")
                    continue
                check_operation(doc, path, method, op, ids)
        check_program_problems(doc)
        check_program_routes(doc)
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
