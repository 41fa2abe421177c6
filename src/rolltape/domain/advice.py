"""What an error code or a verdict means for a person, in one plain sentence, with the one thing to do about it."""

from collections.abc import Mapping

from rolltape.domain.recording import Verdict

UNKNOWN = "Something happened that Rolltape has no words for: the log tells more, and trying again may help."

_TEST_THE_STREAM = "open the stream, test it, and look on the station's website whether its address has changed"
_WAIT = "it is tried again by itself, so nothing has to be done unless this lasts"
_CERTIFICATE = "ask the station to mend it, or switch off the check of the certificate in the stream's settings"
_KEY = "open the destination and choose a key that the server knows"

_ADVICE = {
    # A session that never came to record
    "service_down": "Rolltape was not running at that time: see that it starts with the machine and stays on.",
    "no_room": "More recordings than allowed ran at once: allow more at once in the settings, or move one of "
    "the shows.",
    "window_over": f"The time was over before the station answered: {_TEST_THE_STREAM}.",
    "no_audio": f"The station sent no sound: {_TEST_THE_STREAM}.",
    "restored": "It had not ended when the backup was made that was restored: look for recordings on the page System, "
    "or try again.",
    "backup_failed": "The backup could not be written or put in place: see that its folder can be written and has "
    "room.",
    # The station
    "source_error": f"The station cannot be recorded as it is: {_TEST_THE_STREAM}.",
    "source_unreachable": f"The station could not be reached: {_TEST_THE_STREAM}.",
    "source_lost": "The station broke off the connection: if this happens often, add a second address to the stream.",
    "closed": "The station ended the connection: if this happens often, add a second address to the stream.",
    "reset": "The connection was cut off on the way: if this happens often, check this machine's network.",
    "stalled": "The connection fell silent: if this happens often, check the network between here and there.",
    "too_slow": "Sound came too slowly to be whole: check whether other programs use up the internet connection.",
    "no_answer": f"The station took the connection and said nothing: {_TEST_THE_STREAM}.",
    "no_http": f"What answered is no radio station: {_TEST_THE_STREAM}.",
    "empty": f"The station answered and sent nothing: {_TEST_THE_STREAM}.",
    "empty_playlist": f"The playlist at this address names no station: {_TEST_THE_STREAM}.",
    "bad_redirect": f"The station sends listeners on to an address that is none: {_TEST_THE_STREAM}.",
    "too_many_redirects": f"The station sends listeners round in a circle: {_TEST_THE_STREAM}.",
    "not_audio": f"What the station sends is no sound any more: {_TEST_THE_STREAM}.",
    "not_audio_html": "The address leads to a web page: look for the address of the stream itself, often behind a play "
    "button or in a file that ends in .m3u or .pls.",
    "not_live": "The address leads to a finished file: look for the address of the live stream.",
    "format_unsupported": "The station sends a kind of sound that cannot be recorded: choose another of its addresses, "
    "for instance one that says MP3 or AAC.",
    "egress_refused": "The address leads into this machine or a protected part of the network: correct it, or have "
    "whoever set Rolltape up allow it (ROLLTAPE_ALLOW_TARGETS).",
    "dns_failed": "Names of machines cannot be looked up: check whether this machine has a connection to the internet.",
    "unknown_host": "There is no machine of this name: check how the address is spelled.",
    "connect_refused": f"Nothing listens at this address: {_TEST_THE_STREAM}.",
    "connect_timeout": "Nothing answers there: check whether the address is right and the other side is switched on.",
    "connect_failed": "The connection could not be made: check this machine's network, then test it again.",
    "no_route": "There is no way to this address: check this machine's network and whether the other side is on.",
    "tls_failed": "The address does not speak the protected kind of HTTP: try it with http:// instead of https://.",
    "tls_not_yet_valid": "The station's certificate is not valid yet: check this machine's clock.",
    "tls_expired": f"The station's certificate has run out: {_CERTIFICATE}.",
    "tls_untrusted": f"The station's certificate cannot be trusted: {_CERTIFICATE}.",
    "tls_wrong_host": f"The station's certificate belongs to another name: {_CERTIFICATE}.",
    "http_401": "The station asks for a name and a password: put them into the address, like "
    "http://name:password@host/.",
    "http_403": "The station does not let this machine listen: ask the station, or try another of its addresses.",
    "http_404": f"The station has no such stream: {_TEST_THE_STREAM}.",
    "http_429": "The station had too many requests from here: record it less often at once.",
    # This machine
    "processing_failed": "The recording could not be finished, and what was recorded is kept: try the session again.",
    "ffmpeg_missing": "FFmpeg, which Rolltape needs to work with sound, cannot be started: install it or correct "
    "ROLLTAPE_FFMPEG, then try the session again.",
    "unexpected": "Something went wrong that should not: try the session again, and if it fails again, see the log.",
    "error": UNKNOWN,
    "disk": "The disk of the recordings took nothing any more: make room, or connect it again; what was recorded is "
    "kept.",
    "database": "The database could not be used: check whether the disk is full or was taken away, then start again.",
    "start": "Rolltape could not start as things are: the message says what is in its way.",
    # Asking
    "invalid": "Something that was typed cannot be used: the message says what; correct it and save again.",
    "not_found": "It is not there any more: go back to the list and look what there is.",
    "conflict": "It cannot be done as things are: the message says why; do that first.",
    "busy": "As much as possible is under way already: try again in a while.",
    "too_many_attempts": "There were too many wrong attempts: wait as long as the message says.",
    # Telling people
    "channel_error": "The message did not arrive: open the page Notifications, correct the address and test it.",
    # The destination
    "target_error": "The destination could not take the recording: open the destination and test it.",
    "target_unreachable": f"The destination could not be reached: {_WAIT}.",
    "target_refused": "The destination refused the recording: open the destination, test it, then send again.",
    "address_refused": "The destination's address may not be used: correct it, or have whoever set Rolltape up "
    "allow it "
    "(ROLLTAPE_ALLOW_TARGETS).",
    "connection_failed": f"The destination could not be reached: {_WAIT}; then check its address and the network.",
    "connection_refused": "Nothing takes recordings at the destination's address: see that its SSH server is running.",
    "connection_lost": f"The connection to the destination broke off: {_WAIT}.",
    "login_lost": f"The destination broke off during the log-in: {_WAIT}.",
    "no_ssh": "What answers there is no SSH server: check host and port of the destination.",
    "no_common_algorithms": "The destination only knows outdated ways to protect the connection: update its SSH "
    "server.",
    "no_file_access": "The destination lets us in but takes no files: switch on SFTP on that server.",
    "host_key_unknown": "The destination has not been confirmed: open the destination, test it, and accept its key.",
    "host_key_changed": "The destination shows another key than before: find out whether the server was set up "
    "anew, and "
    "only then accept the new key on the destination's page.",
    "key_encrypted": f"The key of the destination is protected by a password: {_KEY}.",
    "key_missing": f"The key of the destination is not there: {_KEY}.",
    "key_unreadable": f"The key of the destination cannot be read: {_KEY}.",
    "key_refused": "The destination does not accept the key: add the public key to that user on the server, "
    "or choose another key on the destination's page.",
    "missing_directory": "The folder at the destination does not exist: make it there, or correct its name.",
    "not_a_directory": "What the destination names as a folder is none: correct the name of the folder.",
    "permission_denied": "The destination does not let us write there: let that user write into the folder.",
    "read_only": "The destination's disk cannot be written to: make it writable there, then send again.",
    "disk_full": "The disk is full: make room there; what waits is sent by itself then.",
    "bad_name": "The destination cannot have a file of this name: change the pattern for file names of the stream.",
    "name_taken": "Another file has this name at the destination: rename or remove it there, then send again.",
    "damaged": f"What arrived was not the same as the recording and was removed: {_WAIT}.",
    "failed": "The destination gave up: open the destination, test it, then send again.",
    "aborted": "The transfer was broken off: send it again.",
    "original_changed": "The recording here was changed since it was finished, so it is not sent: if that was "
    "on purpose, "
    "copy it by hand.",
    "original_missing": "The recording is no longer here, so there is nothing to send: put the file back, or cancel.",
    "original_unreadable": "The recording here cannot be read: check the disk and who owns the file, then send again.",
    "local_file_missing": "The recording is no longer here, so there is nothing to send: put the file back, or cancel.",
}

_VERDICTS = {
    Verdict.COMPLETE: "Complete: everything that was planned was recorded.",
    Verdict.GAPPED: "Gaps: the connection was lost for a while, and what was sent then is missing; "
    "a second address of the station helps if this happens often.",
    Verdict.SHORT: "Too short: the end is missing; if nobody stopped it, test the stream.",
    Verdict.LATE: "Late: the beginning is missing; see that Rolltape runs before the show begins, "
    "or let it start some seconds early.",
    Verdict.SILENT: "Silent: there is hardly any sound in it; listen to the station, "
    "for it may send nothing but silence at this address.",
}


def codes() -> Mapping[str, str]:
    """All error codes that have words of their own, with them."""
    return _ADVICE


def advice(code: str) -> str:
    """What an error code means and what to do, as one sentence."""
    if code in _ADVICE:
        return _ADVICE[code]
    if code.startswith("http_5"):
        return f"The station's server has a fault of its own: {_WAIT}."
    if code.startswith("http_"):
        return f"The station refuses to send: {_TEST_THE_STREAM}."
    return UNKNOWN


def verdict_words(verdict: Verdict) -> str:
    """What a verdict means and, where something is missing, what to do, as one sentence."""
    return _VERDICTS[verdict]
