/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "bytes.h"
#include "file.h"

#define PEM_MAX (64 * 1024)

/* 0 of a time before 1970, which no certificate has in earnest. */
static bool time_of(const ASN1_TIME *time, usec_t *ret) {
        struct tm tm;
        time_t seconds;

        if (ASN1_TIME_to_tm(time, &tm) != 1)
                return false;
        seconds = timegm(&tm);
        *ret = seconds > 0 ? (usec_t) seconds * USEC_PER_SEC : 0;
        return true;
}

static int times_of(const X509 *certificate, usec_t *ret_begin, usec_t *ret_end) {
        usec_t begin, end;

        if (!certificate || !time_of(X509_get0_notBefore(certificate), &begin) ||
                !time_of(X509_get0_notAfter(certificate), &end))
                return -EBADMSG;
        *ret_begin = begin;
        *ret_end = end;
        return 0;
}

int certificate_times(const char *file, usec_t *ret_begin, usec_t *ret_end) {
        _cleanup_bytes_ Bytes text = {};
        X509 *certificate;
        BIO *bio;
        int r;

        r = file_load(file, PEM_MAX, &text);
        if (r < 0)
                return r;
        bio = BIO_new_mem_buf(text.data, (int) text.size);
        if (!bio)
                return -ENOMEM;
        (void) ERR_set_mark(); /* as in jws_key_parse() */
        certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        r = times_of(certificate, ret_begin, ret_end);
        X509_free(certificate);
        (void) ERR_pop_to_mark();
        (void) BIO_free(bio);
        return r;
}
