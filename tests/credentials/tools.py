"""Stand-ins for the platform's two decryptors, which are closed: bodies of executables that speak their interface."""

# The closed tools' interface, with rot13 for the cipher and a key file that must say "right".
DECRYPTOR = """
    import codecs, sys
    key, cipher = sys.argv[1:]
    if open(key).read() != "right":
        sys.exit("wrong key for " + codecs.decode(cipher, "rot13"))
    print(codecs.decode(cipher, "rot13"))
"""
CLIENT = """
    import codecs, os, sys
    assert os.environ["DLS_KEY_ENDPOINT"] and os.environ["DLS_KEY_JOB_ID"] and len(sys.argv) == 1
    for line in sys.stdin:
        print(codecs.decode(line.rstrip("\\n"), "rot13"))
"""
