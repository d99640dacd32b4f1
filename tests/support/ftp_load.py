#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""ftp_load.py ADDRESS USER PASSWORD COUNT THREADS FILE UPLOADS: COUNT logins, some at once, each of which downloads FILE,
uploads it into the directory UPLOADS and lists that, by turns in passive and active mode. Prints what went wrong as JSON."""
import concurrent.futures
import ftplib
import hashlib
import io
import json
import sys

address, user, password, count, threads, name, uploads = sys.argv[1:]


def session(number):
    got = io.BytesIO()
    with ftplib.FTP(timeout=60) as ftp:
        ftp.connect(address, 21)
        ftp.login(user, password)
        ftp.set_pasv(number % 2 == 0)
        ftp.retrbinary(f"RETR {name}", got.write)
        data = got.getvalue()
        ftp.storbinary(f"STOR {uploads}/load-{number}", io.BytesIO(data))
        listed = [line.split("/")[-1] for line in ftp.nlst(uploads)]
        assert f"load-{number}" in listed, listed
        ftp.quit()
    return hashlib.sha256(data).hexdigest()


digests, errors = set(), []
with concurrent.futures.ThreadPoolExecutor(int(threads)) as pool:
    for future in [pool.submit(session, number) for number in range(int(count))]:
        try:
            digests.add(future.result())
        except Exception as error:  # every kind of failure is a lost session
            errors.append(repr(error))
print(json.dumps({"digests": sorted(digests), "errors": errors}))
