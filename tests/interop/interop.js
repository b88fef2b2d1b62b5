// Signs or verifies with the reference library: reads {what, secret, ...} from standard input.
const { Webhook } = require("standardwebhooks");
const given = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
const webhook = new Webhook(given.secret);
if (given.what === "sign") {
  const at = new Date(given.timestamp * 1000);
  console.log(JSON.stringify({ headers: {
    "webhook-id": given.id,
    "webhook-timestamp": String(given.timestamp),
    "webhook-signature": webhook.sign(given.id, at, given.body),
  } }));
} else {
  try {
    webhook.verify(given.body, given.headers);
    console.log('{"good": true}');
  } catch (error) {
    console.log(JSON.stringify({ good: false, why: error.message }));
  }
}
