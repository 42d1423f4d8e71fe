"""Table of seeded faults. Each replaces one text of one file and breaks one behaviour."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Fault and the tests that catch it.

    Attributes:
        name: name on the command line and in the report.
        breaks: the broken behaviour, in one sentence.
        file: changed file, relative to the repository.
        text: replaced text, which must occur exactly once in the file.
        replacement: new text.
        tests: pytest node ids of tests that pass without the fault, the quickest first. At least one fails with it.
    """

    name: str
    breaks: str
    file: str
    text: str
    replacement: str
    tests: tuple[str, ...]


FAULTS = (
    # Scheduler
    Fault(
        "one-sequence-too-many",
        "One more sequence runs than `parallel` allows.",
        "src/ponant/engine/llama/scheduler.py",
        "while self.waiting and len(self.running) < self.parallel:",
        "while self.waiting and len(self.running) <= self.parallel:",
        ("tests/engine/llama/test_scheduler.py::test_no_more_than_parallel_sequences_run",),
    ),
    Fault(
        "oldest-preempted",
        "A full cache preempts the oldest sequence, not the youngest.",
        "src/ponant/engine/llama/scheduler.py",
        "sequence = self.running[-1]",
        "sequence = self.running[0]",
        ("tests/engine/llama/test_scheduler.py::test_youngest_is_preempted_first_and_enters_first",),
    ),
    Fault(
        "early-draw",
        "A prefill chunk draws a token although the last token of the prompt is not computed yet.",
        "src/ponant/engine/llama/step.py",
        "draws=length == sequence.remaining,",
        "draws=length >= sequence.remaining - 1,",
        ("tests/engine/llama/test_scheduler.py::test_deterministic_chunks_are_the_same_after_a_preemption",),
    ),
    # KV cache
    Fault(
        "leaked-slot",
        "An emptied slot is never used again.",
        "src/ponant/engine/llama/kv_cache.py",
        "        self._free_slots.append(slot)\n",
        "",
        ("tests/engine/llama/test_kv_cache.py::test_each_adapter_finds_what_was_computed_with_itself_alone",),
    ),
    Fault(
        "prefix-one-token-too-long",
        "A sequence takes over its whole prompt from another one, so that no token is left to draw from.",
        "src/ponant/engine/llama/prefix_index.py",
        "limit = len(target.tokens) - 1",
        "limit = len(target.tokens)",
        ("tests/engine/llama/test_kv_cache.py::test_what_is_in_the_cache_is_not_taken_from_the_store",),
    ),
    Fault(
        "prefix-of-another-adapter",
        "A sequence takes over what was computed with another adapter.",
        "src/ponant/engine/llama/block_trie.py",
        "node, length = self._roots.get(adapter), 0",
        "node, length = self._roots.get(adapter) or self._roots.get(None), 0",
        ("tests/engine/llama/test_kv_cache.py::test_each_adapter_finds_what_was_computed_with_itself_alone",),
    ),
    Fault(
        "prefix-store-overfull",
        "The prefix store holds more tokens than its capacity.",
        "src/ponant/engine/llama/prefix_store.py",
        "while self._size + segment.size > self._capacity:",
        "while self._size > self._capacity:",
        ("tests/engine/llama/test_prefix_store.py::test_least_recently_used_go_first_and_those_that_others_need_stay",),
    ),
    # Drafting, sampling and grammars
    Fault(
        "wrong-guess-accepted",
        "Tokens after a wrong guess are accepted.",
        "src/ponant/engine/llama/scheduler.py",
        " or draw.token != chunk.draft[index]",
        "",
        ("tests/engine/llama/test_results.py::test_prediction_that_is_partly_right_is_found_again",),
    ),
    Fault(
        "top-p-one-token-too-many",
        "`top_p` keeps one token beyond its share.",
        "src/ponant/engine/llama/sampling.py",
        'side="left")) + 1, len(descending))',
        'side="left")) + 2, len(descending))',
        ("tests/engine/llama/test_sampling.py::test_draws_follow_the_exact_distribution",),
    ),
    Fault(
        "temperature-0-ignored",
        "Temperature 0 becomes the default temperature.",
        "src/ponant/completion/generation.py",
        "if spec.temperature is None else spec.temperature",
        "if not spec.temperature else spec.temperature",
        ("tests/server/test_logprobs.py::test_top_logprobs_are_ordered_and_greedy_takes_the_first",),
    ),
    Fault(
        "same-seed-for-every-choice",
        "All choices of a request have the same seed and so the same text.",
        "src/ponant/completion/generation.py",
        'f"{root} {choice}".encode()',
        'f"{root}".encode()',
        ("tests/server/test_chat.py::test_choices_with_one_seed_differ_and_the_first_ones_do_not_depend_on_n",),
    ),
    Fault(
        "grammar-left-out",
        "The engine does not get the grammar of the answer.",
        "src/ponant/completion/generation.py",
        "grammar=prompt.grammar,",
        "grammar=None,",
        ("tests/server/test_structured_output.py::test_documents_satisfy_their_schema",),
    ),
    # Ends and counts of completions
    Fault(
        "stop-string-lost",
        "A stop string that is not in a list is ignored.",
        "src/ponant/completion/spec.py",
        "return [stop] if isinstance(stop, str)",
        "return [] if isinstance(stop, str)",
        ("tests/server/test_chat.py::test_stop_string_ends_the_text_and_is_not_in_it",),
    ),
    Fault(
        "stop-string-split",
        "A stop string that two tokens share is not found.",
        "src/ponant/completion/stops.py",
        "shown = len(text) - max(match.matched for match in self._matches)",
        "shown = len(text)",
        ("tests/completion/test_output.py::test_text_is_shown_up_to_the_first_stop_however_it_is_cut",),
    ),
    Fault(
        "wrong-finish-reason",
        "A completion that fills the context has the finish reason `length`.",
        "src/ponant/engine/llama/sequence.py",
        '"model_length" if max_tokens is None else "length"',
        '"length"',
        ("tests/engine/llama/test_scheduler.py::test_completion_without_limit_ends_where_the_context_does",),
    ),
    Fault(
        "last-delta-lost",
        "The last delta of a choice is dropped, with its tokens and its finish reason.",
        "src/ponant/engine/llama/process.py",
        "            self._deltas.append(delta)\n",
        "            self._deltas.extend([] if delta.finish else [delta])\n",
        ("tests/engine/llama/test_process.py::test_end_of_context_is_told_apart_from_max_tokens",),
    ),
    Fault(
        "usage-of-one-choice",
        "The usage counts the tokens of the first choice alone.",
        "src/ponant/completion/usage.py",
        "sum(choice.tokens for choice in choices)",
        "choices[0].tokens",
        ("tests/server/test_chat.py::test_prompt_tokens_are_counted_once_whatever_n",),
    ),
    # Engine process
    Fault(
        "cancelled-request-runs-on",
        "A cancelled request keeps running in the worker and keeps its slot.",
        "src/ponant/engine/llama/process.py",
        "            self._worker.send(Cancel(request_id, choice))\n",
        "            pass\n",
        ("tests/server/test_errors.py::test_request_that_takes_too_long_gets_504_and_frees_its_place",),
    ),
    Fault(
        "queue-limit-off-by-one",
        "One more request waits than `queue_limit` allows.",
        "src/ponant/engine/llama/process.py",
        "if len(self._waiting) >= self._queue_limit",
        "if len(self._waiting) > self._queue_limit",
        ("tests/engine/llama/test_process.py::test_cancelled_requests_leave_their_places",),
    ),
    Fault(
        "death-looks-like-an-end",
        "A request whose worker died ends as if it were complete.",
        "src/ponant/engine/llama/process.py",
        "                raise self._failure\n",
        "                raise StopAsyncIteration\n",
        ("tests/engine/llama/test_process.py::test_request_under_which_two_workers_died_is_refused",),
    ),
    Fault(
        "no-restart",
        "A worker that died is not replaced.",
        "src/ponant/processes/supervisor.py",
        "link = await self._relaunch()",
        "return",
        ("tests/engine/llama/test_process.py::test_killed_worker_is_replaced_and_its_requests_begin_again",),
    ),
    Fault(
        "adapter-unloaded-in-use",
        "An adapter is unloaded while requests work with it.",
        "src/ponant/engine/llama/adapters.py",
        "if adapter_id in self._leaving and not self._users[adapter_id]:",
        "if adapter_id in self._leaving:",
        ("tests/engine/llama/test_adapters.py::test_adapters_come_and_go_while_streams_run",),
    ),
    # Catalog and downloads
    Fault(
        "alias-of-no-model",
        "Aliases do not lead to models.",
        "src/ponant/catalog/catalog.py",
        "        name = self._aliases.get(name, name)\n",
        "",
        ("tests/server/test_several_models.py::test_names_lead_to_models",),
    ),
    Fault(
        "busy-model-unloaded",
        "A model is unloaded to make room for another one while it answers a request.",
        "src/ponant/catalog/served.py",
        " and not self.loaded.backend.busy",
        "",
        ("tests/server/test_several_models.py::test_models_in_use_are_waited_for",),
    ),
    Fault(
        "checksum-not-compared",
        "A download is accepted whatever its checksum.",
        "src/ponant/weights/download.py",
        "if self.digest.hexdigest() == self.download.checksum.value:",
        "if self.digest.hexdigest():",
        ("tests/weights/test_store_download.py::test_what_is_not_the_announced_file_is_refused_and_dropped",),
    ),
    # Storage and fine-tuning
    Fault(
        "cancellation-ignored",
        "A job whose cancellation was requested never ends.",
        "src/ponant/jobs/runner.py",
        "in_states(CANCELLATION_REQUESTED, *wanted)",
        "in_states(*wanted)",
        (
            "tests/fine_tuning/test_runner.py"
            "::test_jobs_whose_cancellation_was_requested_end_though_nobody_works_on_them",
        ),
    ),
    Fault(
        "resumed-from-the-beginning",
        "A training that was interrupted begins again at step 0.",
        "src/ponant/training/checkpoints.py",
        "        return state\n",
        "        return None\n",
        ("tests/training/test_training.py::test_a_run_that_was_ended_goes_on_with_the_same_losses",),
    ),
    # Server
    Fault(
        "unchecked-key",
        "Any bearer token opens a server that has keys.",
        "src/ponant/server/middleware.py",
        'return matches[0] if matches and scheme.lower() == "bearer" else None',
        'return matches[0] if matches else Caller() if scheme.lower() == "bearer" else None',
        ("tests/server/test_access.py::test_anything_but_a_key_gets_401",),
    ),
    Fault(
        "any-local-looking-host",
        "A server without a key answers to hosts whose name begins with `localhost`.",
        "src/ponant/server/middleware.py",
        'if name == "localhost" or',
        'if name.startswith("localhost") or',
        ("tests/server/test_access.py::test_keyless_server_refuses_hosts_that_are_not_this_machine",),
    ),
    Fault(
        "body-limit-for-announced-bodies",
        "The limit on bodies holds only for those that announce their length.",
        "src/ponant/server/middleware.py",
        "                if received > limit:\n",
        "                if announced and received > limit:\n",
        ("tests/server/test_errors.py::test_body_of_unannounced_length_is_held_to_the_limit_too",),
    ),
    Fault(
        "form-without-end",
        "An upload whose form breaks off before its last boundary is kept.",
        "src/ponant/server/multipart.py",
        "        if not self._complete:\n",
        "        if not self.fields:\n",
        ("tests/server/test_uploads.py::test_broken_form_is_refused",),
    ),
    Fault(
        "no-done-event",
        "A stream ends without `[DONE]`.",
        "src/ponant/server/sse.py",
        "                await events.send(answers.end)\n",
        "",
        ("tests/server/test_chat.py::test_stream_begins_with_roles_and_ends_with_usage",),
    ),
    Fault(
        "no-keep-alive",
        "A stream that has not begun is not kept alive.",
        "src/ponant/server/sse.py",
        "if silent >= self._longest_silence:",
        "if silent >= self._longest_silence and self.started:",
        ("tests/server/test_lifecycle.py::test_silent_streams_are_kept_alive_by_comments",),
    ),
    Fault(
        "dialect-field-dropped",
        "OpenAI's `max_completion_tokens` is ignored.",
        "src/ponant/server/dialects/openai.py",
        'renamed("max_tokens")',
        'ignored("it is too long")',
        ("tests/server/test_dialect_tables.py::test_fields_are_translated",),
    ),
    Fault(
        "unknown-field-taken",
        "Unknown fields of a request are ignored.",
        "src/ponant/api/base.py",
        'extra="forbid", strict=True',
        'extra="ignore", strict=True',
        ("tests/server/test_chat.py::test_unknown_fields_are_extra_forbidden",),
    ),
    # Prompts and answers
    Fault(
        "schema-rule-dropped",
        "A property that a JSON schema requires may be missing.",
        "src/ponant/prompts/json_schema/objects.py",
        'found["required"] = required\n',
        "pass\n",
        ("tests/prompts/json_schema/test_json_schema.py::test_grammar_takes_what_the_schema_allows",),
    ),
    Fault(
        "call-arguments-lost",
        "A tool call has the last piece of its arguments alone.",
        "src/ponant/completion/message.py",
        'call.function.arguments = f"{call.function.arguments}{text}"',
        "call.function.arguments = text",
        ("tests/completion/test_message.py::test_message_is_the_same_however_it_is_streamed",),
    ),
    Fault(
        "reasoning-as-text",
        "Reasoning is part of the text of the answer.",
        "src/ponant/completion/reader.py",
        "                parts = [Thought(thought)] if thought else []\n",
        "                parts = [Text(thought)] if thought else []\n",
        ("tests/completion/test_reader.py::test_thinking_and_text_come_apart",),
    ),
    Fault(
        "forged-control-token",
        "The text of a message can form a control token.",
        "src/ponant/prompts/escaping.py",
        "yield text[max(start, end) : stop], False",
        "yield text[max(start, end) : stop], True",
        ("tests/prompts/chat/test_prompt.py::test_control_tokens_are_those_of_the_template_alone",),
    ),
    Fault(
        "fim-order",
        "Models that read the suffix first get it last, and the other way round.",
        "src/ponant/prompts/fim/prompts.py",
        "return after + before + middle if self.suffix_first",
        "return after + before + middle if not self.suffix_first",
        ("tests/prompts/fim/test_fim.py::test_prompt_has_the_order_of_the_training",),
    ),
    # Embeddings
    Fault(
        "embeddings-in-another-order",
        "The vectors of a batch come back in reverse order.",
        "src/ponant/engine/embed/worker.py",
        "zip(step, vectors, strict=True)",
        "zip(step, vectors[::-1], strict=True)",
        ("tests/engine/embed/test_embedding.py::test_requests_at_the_same_time_get_their_own_vectors_in_order",),
    ),
    # Code samples
    Fault(
        "unquoted-apostrophe",
        "An apostrophe ends the quoted body in a sample for the shell.",
        "src/ponant/samples/strings.py",
        """text.replace("'", "'\\\\''")""",
        "text",
        ("tests/samples/test_samples.py::test_shells_read_the_quoted_words",),
    ),
    Fault(
        "key-in-samples-of-open-servers",
        "Code samples send a key to a server without keys.",
        "src/ponant/server/routes/code.py",
        "if has_keys or not _is_same_server(",
        "if not has_keys or not _is_same_server(",
        ("tests/server/test_code.py::test_request_is_written_in_all_languages_for_this_server",),
    ),
    # Status
    Fault(
        "status-without-figures",
        "A stream that fails is listed without the tokens that it sent.",
        "src/ponant/server/request_record.py",
        "        try:\n            yield\n        finally:\n            self.figures = answer.figures\n",
        "        yield\n        self.figures = answer.figures\n",
        ("tests/server/test_status.py::test_stream_that_fails_or_is_left_is_shown_as_such",),
    ),
    Fault(
        "losses-of-a-lost-run",
        "The history of a resumed run keeps the steps after its checkpoint.",
        "src/ponant/fine_tuning/loss_history.py",
        "status.st_ino != self._inode or status.st_size < self._offset",
        "status.st_size < self._offset",
        ("tests/fine_tuning/test_loss_history.py::test_resumed_run_replaces_the_steps_after_its_checkpoint",),
    ),
    # Client
    Fault(
        "missing-retry",
        "The client does not repeat requests to a server that is not ready.",
        "src/ponant/client/retries.py",
        "frozenset({429, 500, 502, 503, 504})",
        "frozenset({429, 500, 502, 504})",
        ("tests/client/test_retries.py::test_a_stream_is_tried_again_until_it_begins",),
    ),
    # Pages
    Fault(
        "unchecked-library",
        "A library of the pages is taken whatever its hash is.",
        "src/ponant/pages/vendor.py",
        '    return {_integrity(path): path for path in folder.glob("*.tgz")}\n',
        '    return dict(zip((library.integrity for library in wanted), folder.glob("*.tgz"), strict=False))\n',
        ("tests/pages/test_vendor.py::test_wrong_archive_is_refused_and_leaves_the_folder",),
    ),
    Fault(
        "escaping-file",
        "Files outside of the folders of the pages are served.",
        "src/ponant/server/routes/pages.py",
        "found if found.is_relative_to(root) and ",
        "found if ",
        ("tests/server/test_pages.py::test_only_files_of_the_pages_are_served",),
    ),
    # Command line and settings
    Fault(
        "exit-code-0",
        "A command that fails exits with code 0.",
        "src/ponant/cli/errors.py",
        "    sys.exit(code)\n",
        "    sys.exit(0)\n",
        ("tests/cli/test_errors.py::test_bad_settings_file_is_told_with_the_place",),
    ),
    Fault(
        "environment-wins-over-flags",
        "Environment variables take precedence over flags.",
        "src/ponant/settings.py",
        "return init_settings, env_settings, ",
        "return env_settings, init_settings, ",
        ("tests/cli/test_serve.py::test_flags_win_over_the_environment_and_that_over_the_file",),
    ),
)
