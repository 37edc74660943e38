"""TwiML: parse a document into verbs, and say what in it Twilio's schema would refuse."""

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

LARGEST = 64 * 1024
XML_TYPES = ("text/xml", "application/xml", "text/html")

# Attributes by verb, from https://www.twilio.com/docs/voice/twiml; a pattern where the value is checked.
WHOLE = r"\d+"
NUMBER = r"\d+(\.\d+)?"
METHOD = r"GET|POST|get|post"
BOOL = r"true|false"
URL_LIKE = r"\S+"
ANY = r"(?s).*"
RECORD = (
    r"true|false|do-not-record|record-from-answer|record-from-ringing|record-from-answer-dual|record-from-ringing-dual"
)
EVENTS = r"(initiated|ringing|answered|completed|\s)*"
VERBS: dict[str, dict[str, str]] = {
    "Say": {"voice": ANY, "language": ANY, "loop": WHOLE},
    "Play": {"loop": WHOLE, "digits": r"[0-9A-D*#wW]*"},
    "Pause": {"length": NUMBER},
    "Gather": {
        "input": r"(dtmf|speech|\s)+",
        "action": ANY,
        "method": METHOD,
        "timeout": r"\d+|auto",
        "finishOnKey": r"[0-9*#]?",
        "numDigits": r"[1-9]\d*",
        "actionOnEmptyResult": BOOL,
        "language": ANY,
        "partialResultCallback": ANY,
        "partialResultCallbackMethod": METHOD,
        "hints": ANY,
        "profanityFilter": BOOL,
        "speechTimeout": ANY,
        "speechModel": ANY,
        "enhanced": BOOL,
        "bargeIn": BOOL,
        "debug": BOOL,
        "maxSpeechTime": WHOLE,
    },
    "Dial": {
        "action": ANY,
        "method": METHOD,
        "timeout": WHOLE,
        "timeLimit": WHOLE,
        "hangupOnStar": BOOL,
        "callerId": ANY,
        "callReason": r"(?s).{0,50}",
        "record": RECORD,
        "trim": r"trim-silence|do-not-trim",
        "recordingStatusCallback": URL_LIKE,
        "recordingStatusCallbackMethod": METHOD,
        "recordingStatusCallbackEvent": r"(in-progress|completed|absent|\s)*",
        "recordingTrack": r"both|inbound|outbound",
        "recordingConfigurationId": ANY,
        "answerOnBridge": BOOL,
        "ringTone": ANY,
        "sequential": BOOL,
        "referUrl": URL_LIKE,
        "referMethod": METHOD,
        "passports": ANY,
    },
    "Number": {
        "sendDigits": r"[0-9*#wW]*",
        "url": URL_LIKE,
        "method": METHOD,
        "byoc": ANY,
        "statusCallback": URL_LIKE,
        "statusCallbackMethod": METHOD,
        "statusCallbackEvent": EVENTS,
        "machineDetection": r"Enable|DetectMessageEnd",
        "machineDetectionTimeout": WHOLE,
        "machineDetectionSpeechThreshold": WHOLE,
        "machineDetectionSpeechEndThreshold": WHOLE,
        "machineDetectionSilenceTimeout": WHOLE,
        "amdStatusCallback": URL_LIKE,
        "amdStatusCallbackMethod": METHOD,
    },
    "Hangup": {},
    "Redirect": {"method": METHOD},
    "Reject": {"reason": r"rejected|busy"},
}
CHILDREN = {"Gather": ("Say", "Play", "Pause"), "Dial": ("Number",)}
WHISPER_VERBS = ("Say", "Play", "Pause", "Gather", "Hangup", "Redirect")


class ParseError(ValueError):
    """The document is no TwiML at all: error 12100."""


@dataclass
class Verb:
    """One element: its attributes that passed the check, its text and its nested elements."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Verb"] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        """An attribute or its default."""
        return self.attributes.get(name, default)

    def flag(self, name: str) -> bool:
        """Whether a boolean attribute is true."""
        return self.get(name) == "true"

    def whole(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A whole number, kept between `lowest` and `highest`."""
        text = self.get(name)
        return min(highest, max(lowest, int(text))) if text.isdigit() else default


@dataclass
class Document:
    """The verbs to play, in order, and what the schema refused (each one a 12200 warning)."""

    verbs: list[Verb]
    warnings: list[str]


def parse(text: str) -> Document:
    """Read TwiML. Raises ParseError if it is no XML or its root is not `<Response>`.

    An unknown verb is skipped and an unknown attribute or value ignored, each with a warning, as Twilio does (12200).
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ParseError("A document type is not allowed in TwiML.")
    try:
        root = ElementTree.fromstring(text.strip())  # noqa: S314 (no document type, so no entities to expand)
    except ElementTree.ParseError as problem:
        raise ParseError(str(problem)) from problem
    if root.tag != "Response":
        raise ParseError(f"The root element is <{root.tag}>, not <Response>.")
    warnings: list[str] = []
    verbs = [verb for element in root if (verb := _verb(element, "Response", warnings)) is not None]
    if (root.text or "").strip():
        warnings.append("Text directly inside <Response> is ignored.")
    return Document(verbs, warnings)


def _verb(element: ElementTree.Element, parent: str, warnings: list[str]) -> Verb | None:
    name = element.tag
    allowed = CHILDREN.get(parent, tuple(VERBS)) if parent != "Response" else tuple(v for v in VERBS if v != "Number")
    if name not in allowed:
        warnings.append(f"<{name}> is not allowed in <{parent}>, or this simulator does not play it; it is skipped.")
        return None
    attributes = {}
    for key, value in element.attrib.items():
        pattern = VERBS[name].get(key)
        if pattern is None:
            warnings.append(f"Attribute '{key}' is not allowed to appear in element '{name}'.")
        elif not re.fullmatch(pattern, value):
            warnings.append(f"Value '{value}' of attribute '{key}' on element '{name}' is not valid.")
        else:
            attributes[key] = value
    children: list[Verb] = []
    text = element.text or ""
    if name in CHILDREN:
        children = [verb for child in element if (verb := _verb(child, name, warnings)) is not None]
    elif name == "Say":
        text = "".join(element.itertext())
    return Verb(name, attributes, " ".join(text.split()), children)
