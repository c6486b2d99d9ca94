/* A batch in ranges, each by a thread of this program, which brings its own threads and wants no others:

       bracketc build models/logistic.brk -o DIR --backend c --dtype float32
       cc -O3 -march=native -I DIR threads.c DIR/logistic.c -o threads -lm -pthread

   The value and the gradient are those of one call for the whole batch, bit for bit, for any number of threads and any cuts. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "logistic.h"

enum { SAMPLES = 20011, FEATURES = 37, THREADS = 3 };

typedef struct {
    const logistic_dims *dims;
    const logistic_args *args;
    logistic_results *results;
    int64_t first, last;
    void *sums;
    int status;
} range;

static void *run(void *given)
{
    range *const r = given;
    void *const workspace = malloc(logistic_value_and_grad_workspace(r->dims));
    r->status = logistic_value_and_grad_part(r->dims, r->args, r->results, NULL, workspace, r->first, r->last, r->sums);
    free(workspace);
    return NULL;
}

int main(void)
{
    float *const X = malloc(sizeof(float) * SAMPLES * FEATURES), *const y = malloc(sizeof(float) * SAMPLES);
    float w[FEATURES], J[2], gradients[2][FEATURES];
    for (int64_t i = 0; i < SAMPLES * FEATURES; ++i)
        X[i] = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
    for (int64_t i = 0; i < SAMPLES; ++i)
        y[i] = i % 3 ? 1.0f : -1.0f;
    for (int64_t j = 0; j < FEATURES; ++j)
        w[j] = (float)(j % 5 - 2);

    const logistic_dims dims = {.struct_size = sizeof dims, .N = SAMPLES, .D = FEATURES};
    const logistic_args args = {.struct_size = sizeof args, .X = X, .y = y, .w = w};
    logistic_results whole = {.struct_size = sizeof whole, .J = &J[0], .grad_w = gradients[0]};
    logistic_results joined = {.struct_size = sizeof joined, .J = &J[1], .grad_w = gradients[1]};
    void *const workspace = malloc(logistic_value_and_grad_workspace(&dims));
    void *const sums = malloc(logistic_value_and_grad_sums(&dims, SAMPLES));

    int status = logistic_value_and_grad(&dims, &args, &whole, NULL, workspace);
    pthread_t threads[THREADS];
    range ranges[THREADS];
    for (int64_t k = 0; k < THREADS; ++k) {
        ranges[k] = (range){&dims, &args, &joined, SAMPLES * k / THREADS, SAMPLES * (k + 1) / THREADS, sums, 0};
        if (pthread_create(&threads[k], NULL, run, &ranges[k]))
            return 2;
    }
    for (int64_t k = 0; k < THREADS; ++k) {
        pthread_join(threads[k], NULL);
        status = status ? status : ranges[k].status;
        printf("positions %6lld to %6lld\n", (long long)logistic_value_and_grad_cut(&dims, ranges[k].first),
               (long long)logistic_value_and_grad_cut(&dims, ranges[k].last));
    }
    status = status ? status : logistic_value_and_grad_combine(&dims, &args, &joined, NULL, workspace, sums);

    const int same = !memcmp(&J[0], &J[1], sizeof J[0]) && !memcmp(gradients[0], gradients[1], sizeof gradients[0]);
    printf("J = %g, %s\n", (double)J[1], same ? "the same bits" : "other bits");
    free(sums), free(workspace), free(X), free(y);
    return status || !same;
}
