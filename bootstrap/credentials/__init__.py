"""Keys: found, decrypted, refreshed, handed on by choice, and never shown.

- :mod:`.registry`: the secrets known so far, for whoever masks them;
- :mod:`.names`: every spelling of a credential's variables, in the order in which they count;
- :mod:`.find`: from all :mod:`.places` (:mod:`.files`, :mod:`.metadata`, :mod:`.chain`) to one provider of keys;
- :mod:`.decrypt`: encrypted variables, by the platform's closed tools or by our open way (:mod:`.sealing`);
- :mod:`.handover`: what the user's command receives;
- :mod:`.hardening`: what other processes can learn from ours.
"""
