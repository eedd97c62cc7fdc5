import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import { isIP } from "node:net";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { readIfReadable, replaceFile } from "../durable-file.ts";
import type { HomeFiles } from "../home.ts";
import { keptText } from "../home.ts";
import type { CertificateFlaw } from "./faults.ts";

const DAY_MS = 86_400_000;
const CA_DAYS = 825;
/** The longest a TLS client of today accepts for a server. */
const SERVER_DAYS = 397;
const CA_NAME = "passwordless-pg local Azure CA";

/** Local Azure's certificate authority. */
export interface Certificates {
  /** PEM of the CA certificate, and the file that holds it. */
  readonly caPem: string;
  readonly caFile: string;
  /** PEM: the CA and the public roots that Node knows, for apps that also talk to the world. */
  readonly bundleFile: string;
  /** A server certificate for DNS names and IP addresses, signed by the CA. Cached. */
  issue(names: readonly string[]): { key: string; cert: string };
  /** The same with something wrong on purpose. */
  issueFlawed(names: readonly string[], flaw: CertificateFlaw): { key: string; cert: string };
}

/**
 * Opens the certificate authority of a home, making it at first use: an ECDSA P-256 key (0600 in `keys`) and a self-signed
 * certificate that vouches for nothing but this machine's loopback addresses and `localhost` (RFC 5280, 4.2.1.10), since `local env` makes a
 * whole shell trust it. One that is damaged, old or without that limit is made anew, with a new key: `onRemade` is told. Certificates are X.509 v3 (RFC 5280) written as DER here, since Node can read certificates but not make them.
 */
export function openCertificates(keysFolder: string, files: HomeFiles, onRemade: (file: string) => void = () => undefined): Certificates {
  const [keyFile, certificateFile] = [join(keysFolder, "ca.key"), join(keysFolder, "ca.pem")];
  const kept = readIfReadable(certificateFile);
  // The key of a certificate without limits could still speak for every host there, wherever the old certificate is trusted.
  const isKept = kept === undefined || isFitAuthority(kept, readIfReadable(keyFile));
  const keyPem = keptText(keyFile, { make: newKeyPem, isFit: (text) => isKept && publicKeyOf(text) !== undefined, onRemade });
  const caKey = createPrivateKey(keyPem);
  const caPem = keptText(certificateFile, {
    make: () => certificate({ subject: CA_NAME, key: caKey, caKey, days: CA_DAYS, names: [] }),
    isFit: (text) => isFitAuthority(text, keyPem),
    onRemade,
  });
  const bundle = [caPem, ...rootCertificates].join("\n");
  if (readIfReadable(files.ca) !== caPem) replaceFile(files.ca, caPem, 0o644);
  if (readIfReadable(files.bundle) !== bundle) replaceFile(files.bundle, bundle, 0o644);
  const serverKeyPem = newKeyPem();
  const serverKey = createPrivateKey(serverKeyPem);
  const issued = new Map<string, string>();
  return {
    caPem,
    caFile: files.ca,
    bundleFile: files.bundle,
    issue: (names) => {
      const id = names.join(",");
      const cert = issued.get(id) ?? certificate({ subject: names[0] ?? "localhost", key: serverKey, caKey, days: SERVER_DAYS, names });
      issued.set(id, cert);
      return { key: serverKeyPem, cert: `${cert}${caPem}` };
    },
    issueFlawed: (names, flaw) => {
      const request = { subject: names[0] ?? "localhost", key: serverKey, caKey, days: SERVER_DAYS, names };
      const different = {
        stranger: { caKey: createPrivateKey(newKeyPem()) },
        expired: { days: -0.5 },
        "wrong-name": { subject: "elsewhere.localhost", names: ["elsewhere.localhost"] },
      }[flaw];
      const cert = certificate({ ...request, ...different });
      return { key: serverKeyPem, cert: flaw === "stranger" ? cert : `${cert}${caPem}` };
    },
  };
}

function newKeyPem(): string {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" }).toString();
}

/** SPKI as DER; `undefined` when the text is no private EC key. */
function publicKeyOf(keyPem: string): Buffer | undefined {
  try {
    const key = createPrivateKey(keyPem);
    return key.asymmetricKeyType === "ec" ? createPublicKey(key).export({ type: "spki", format: "der" }) : undefined;
  } catch {
    return undefined;
  }
}

const NAME_CONSTRAINTS = "2.5.29.30";

/** Is it this key's certificate, limited in names, and with a longer life than any that it may sign now? */
function isFitAuthority(pem: string, keyPem: string | undefined): boolean {
  const publicKey = publicKeyOf(keyPem ?? "");
  try {
    const { publicKey: named, raw, validTo } = new X509Certificate(pem);
    return (
      publicKey !== undefined &&
      named.export({ type: "spki", format: "der" }).equals(publicKey) &&
      raw.includes(oid(NAME_CONSTRAINTS)) &&
      Date.parse(validTo) > Date.now() + SERVER_DAYS * DAY_MS
    );
  } catch {
    return false;
  }
}

interface CertificateRequest {
  readonly subject: string;
  readonly key: KeyObject;
  readonly caKey: KeyObject;
  readonly days: number;
  /** DNS names and IP addresses; none for the CA itself. */
  readonly names: readonly string[];
}

/** The permitted subtrees: `localhost` with what ends in `.localhost`, 127.0.0.0/8, ::1. */
const LOOPBACK: readonly Buffer[] = [
  tlv(0x82, Buffer.from("localhost", "ascii")),
  tlv(0x87, Buffer.from([127, 0, 0, 0, 255, 0, 0, 0])),
  tlv(0x87, Buffer.concat([Buffer.alloc(15), Buffer.from([1]), Buffer.alloc(16, 255)])),
];

function certificate(request: CertificateRequest): string {
  const publicInfo = createPublicKey(request.key).export({ type: "spki", format: "der" });
  const issuerKeyId = keyId(createPublicKey(request.caKey).export({ type: "spki", format: "der" }));
  const isCa = request.names.length === 0;
  const now = Date.now();
  const extensions = [
    extension("2.5.29.19", true, sequence(...(isCa ? [tlv(0x01, Buffer.from([0xff]))] : []))), // basicConstraints
    extension("2.5.29.15", true, tlv(0x03, Buffer.from(isCa ? [0x01, 0x06] : [0x07, 0x80]))), // keyUsage: certSign+crlSign, or digitalSignature
    extension("2.5.29.14", false, tlv(0x04, keyId(publicInfo))), // subjectKeyIdentifier
    extension("2.5.29.35", false, sequence(tlv(0x80, issuerKeyId))), // authorityKeyIdentifier
  ];
  if (isCa) extensions.push(extension(NAME_CONSTRAINTS, true, sequence(tlv(0xa0, Buffer.concat(LOOPBACK.map((base) => sequence(base)))))));
  else {
    extensions.push(extension("2.5.29.37", false, sequence(oid("1.3.6.1.5.5.7.3.1")))); // serverAuth
    extensions.push(extension("2.5.29.17", false, sequence(...request.names.map(alternativeName))));
  }
  const algorithm = sequence(oid("1.2.840.10045.4.3.2")); // ecdsa-with-SHA256
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
    algorithm,
    commonName(CA_NAME),
    sequence(time(now - DAY_MS), time(now + request.days * DAY_MS)),
    commonName(request.subject),
    publicInfo,
    tlv(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", body, request.caKey);
  const der = sequence(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

/** SHA-1 over the key's bits (RFC 5280 4.2.1.2); those of a P-256 key are the last 65 bytes of its SPKI. */
function keyId(publicInfo: Buffer): Buffer {
  return createHash("sha1").update(publicInfo.subarray(-65)).digest();
}

function alternativeName(name: string): Buffer {
  const kind = isIP(name);
  if (kind === 4) return tlv(0x87, Buffer.from(name.split(".").map(Number)));
  if (kind === 6) throw new Error(`No certificates for IPv6 addresses: ${name}`);
  return tlv(0x82, Buffer.from(name, "ascii"));
}

function extension(id: string, isCritical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(isCritical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, value));
}

function commonName(name: string): Buffer {
  return sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0c, Buffer.from(name, "utf8")))));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  return tlv(0x17, Buffer.from(digits.slice(2), "ascii")); // UTCTime
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const groups = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, Buffer.concat(parts));
}

function tlv(tag: number, value: Buffer): Buffer {
  const length = value.length;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), value]);
  const bytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...bytes]), value]);
}
