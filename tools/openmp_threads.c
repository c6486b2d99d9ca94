/* OpenMP's parallel region on plain threads, for the thread sanitizer: it sees every start and every end of a thread, while
   those inside libgomp it takes for races. Loaded before libgomp, whose functions of these names are then not used. */
#include <pthread.h>
#include <stdlib.h>

typedef struct {
    void (*body)(void *);
    void *data;
    int number, count;
} member;

static _Thread_local const member *self;

static void *work(void *given)
{
    self = given;
    self->body(self->data);
    self = NULL;
    return NULL;
}

void GOMP_parallel(void (*body)(void *), void *data, unsigned wanted, unsigned flags)
{
    (void)flags;
    const int count = wanted ? (int)wanted : 1;
    member *const team = malloc(sizeof *team * (size_t)count);
    pthread_t *const threads = malloc(sizeof *threads * (size_t)count);
    if (!team || !threads)
        abort();
    for (int number = 0; number < count; ++number)
        team[number] = (member){body, data, number, count};
    for (int number = 1; number < count; ++number)
        if (pthread_create(&threads[number], NULL, work, &team[number]))
            abort();
    work(&team[0]);
    for (int number = 1; number < count; ++number)
        pthread_join(threads[number], NULL);
    free(threads);
    free(team);
}

int omp_get_thread_num(void) { return self ? self->number : 0; }
int omp_get_num_threads(void) { return self ? self->count : 1; }
int omp_in_parallel(void) { return self && self->count > 1; }
