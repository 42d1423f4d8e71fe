// The state of the playground: the open conversation, its running requests, and the conversations of this browser.

import { ApiError, getJson, mayCall } from "../lib/api.js";
import { answerOf, askedBy, continuing, conversationOf, shownRequest } from "./request.js";
import { addTurn, choose, newConversation, pathOf, removeTurn } from "./conversation.js";
import { defaultSettings } from "./settings.js";
import {
  allConversations,
  deleteConversation,
  listConversations,
  loadConversation,
  onOtherTab,
  saveConversation,
  summaryOf,
} from "./library.js";
import { Redraw } from "./redraw.js";
import { Round } from "./round.js";

const SAVE_AFTER = 400;

/** State with the actions that change it. Listeners are called after changes. */
export class Workbench {
  constructor() {
    this.models = [];
    this.conversations = [];
    this.conversation = newConversation("chat", defaultSettings());
    this.error = null;
    this.codeTurn = null;
    this.isNew = true;
    this.loading = true;
    this.rounds = new Map();
    this.unsaved = new Map();
    this.writing = new Map();
    this.listeners = new Set();
    this.redraw = new Redraw(() => this.listeners.forEach((listener) => listener()));
    this.timer = 0;
    this.written = Promise.resolve();
    this.refusal = "";
    onOtherTab((id) => this.follow(id));
  }

  subscribe(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Show a change. */
  changed = () => this.redraw.ask();

  /** Read the list of models and the conversations of this browser, and open the one that a reload has closed. */
  async start() {
    await Promise.all([this.readModels(), this.readConversations()]);
    if (history.state?.conversation) await this.open(history.state.conversation);
  }

  async readModels() {
    if (!mayCall()) return;
    this.loading = true;
    try {
      this.models = (await getJson("/v1/models")).data.filter((model) => !model.archived);
      if (this.error instanceof ApiError) this.error = null;
      this.chooseModel();
    } catch (error) {
      this.error = error;
    }
    this.loading = false;
    this.changed();
  }

  /** Read the list of conversations. Those that are not saved yet are the first. */
  async readConversations() {
    const before = this.held;
    let stored = [];
    try {
      stored = await listConversations();
    } catch (error) {
      this.refuse(error);
    }
    // A conversation may have been changed or saved during the read, which does not have it then.
    const held = new Map([...before, ...this.held]);
    const unsaved = [...held.values()].reverse().map(summaryOf);
    this.conversations = [...unsaved, ...stored.filter(({ id }) => !held.has(id))];
    this.changed();
  }

  /** Show what another tab has written or removed, unless this one is changing it. */
  async follow(id) {
    await this.readConversations();
    if (this.conversation.id !== id || this.held.has(id) || this.rounds.has(id)) return;
    const found = await loadConversation(id).catch(() => null);
    if (!found || this.conversation.id !== id || this.held.has(id) || this.rounds.has(id)) return;
    this.show({ ...found, draft: this.conversation.draft });
  }

  /** Say once that the browser keeps no conversations. */
  refuse(error) {
    if (this.refusal === error.message) return;
    this.refusal = error.message;
    this.error = new Error(
      `This browser does not store conversations (${error.message}). They end with this tab: export those to keep.`,
    );
    this.changed();
  }

  /** Return the models that can answer a kind of conversation. */
  modelsFor(kind) {
    const embeds = (model) => !model.capabilities.completion_chat && (model.default_model_temperature ?? null) === null;
    return this.models.filter((model) => embeds(model) === (kind === "embeddings"));
  }

  /** Give a conversation without a model the first one that can answer it. */
  chooseModel() {
    const { kind, settings } = this.conversation;
    const fitting = this.modelsFor(kind);
    const coder = fitting.find((model) => model.capabilities.completion_fim);
    settings.model ||= (kind === "fim" && coder ? coder : fitting[0])?.id ?? "";
  }

  // Conversations

  /** Open a new conversation, with the settings of the open one if it has the same kind. */
  create(kind, settings = null) {
    const open = this.conversation;
    const inherited = open.kind === kind ? structuredClone(open.settings) : defaultSettings();
    this.isNew = true;
    this.show(newConversation(kind, settings ?? inherited));
  }

  /** Open the conversation of a request that came with a link. */
  openRequest(request) {
    this.show(conversationOf(request));
    this.save();
  }

  /** Open a new conversation with the models that a link names. */
  openModels({ model, beside, kind }) {
    const known = ["fim", "embeddings"].includes(kind) ? kind : "chat";
    this.create(known, { ...defaultSettings(model), beside });
  }

  /** Open a conversation of this browser. */
  async open(id) {
    const here = this.held.get(id) ?? this.rounds.get(id)?.conversation;
    const found = here ?? (await loadConversation(id).catch((error) => this.refuse(error)));
    if (found) this.show(found);
  }

  show(conversation) {
    this.conversation = conversation;
    this.codeTurn = null;
    this.remember();
    this.chooseModel();
    this.changed();
  }

  /** Note the open conversation, so that a reload opens it again. */
  remember() {
    const { id } = this.conversation;
    if (history.state?.conversation !== id) history.replaceState({ conversation: id }, "");
  }

  rename(title) {
    this.conversation.title = title;
    this.save();
  }

  async remove(id) {
    this.rounds.get(id)?.stop();
    this.rounds.delete(id);
    this.unsaved.delete(id);
    await deleteConversation(id).catch((error) => this.refuse(error));
    this.conversations = this.conversations.filter((one) => one.id !== id);
    if (this.conversation.id === id) this.create(this.conversation.kind);
    this.changed();
  }

  /** Add conversations of a file, and open the first. */
  async add(conversations) {
    for (const conversation of conversations) this.unsaved.set(conversation.id, conversation);
    await this.flush();
    await this.readConversations();
    if (conversations.length) this.show(conversations[0]);
  }

  /** Save the open conversation soon. A chat without turns is not kept. */
  save(conversation = this.conversation) {
    this.changed();
    const isKept = this.conversations.some((one) => one.id === conversation.id);
    if (!isKept && conversation.kind === "chat" && conversation.children.length === 0) return;
    conversation.updated = Date.now();
    if (conversation === this.conversation) this.remember();
    this.unsaved.set(conversation.id, conversation);
    const others = this.conversations.filter((one) => one.id !== conversation.id);
    this.conversations = [summaryOf(conversation), ...others];
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), SAVE_AFTER);
  }

  /** Save what is not saved yet. What the browser refuses stays in this tab. */
  flush() {
    this.written = this.written.then(() => this.write());
    return this.written;
  }

  /** Return the conversations that the browser has not stored yet, by id. */
  get held() {
    return new Map([...this.writing, ...this.unsaved]);
  }

  async write() {
    this.writing = this.unsaved;
    this.unsaved = new Map();
    for (const [id, conversation] of [...this.writing]) {
      try {
        await saveConversation(conversation);
      } catch (error) {
        if (!this.unsaved.has(id)) this.unsaved.set(id, conversation);
        this.refuse(error);
      }
      this.writing.delete(id);
    }
  }

  /** Return all conversations, also those that the browser does not store. */
  async all() {
    await this.flush();
    const stored = await allConversations().catch(() => []);
    const { held } = this;
    return [...held.values(), ...stored.filter(({ id }) => !held.has(id))];
  }

  /** Change settings of the open conversation. */
  set(fields) {
    Object.assign(this.conversation.settings, fields);
    this.save();
  }

  /** Return the request to show as code. */
  shownRequest() {
    return shownRequest(this.conversation, this.codeTurn);
  }

  /** Show the request of an answer as code. */
  showCode(turn) {
    this.codeTurn = turn;
    this.changed();
  }

  dismiss() {
    this.error = null;
    this.changed();
  }

  // Turns

  get round() {
    return this.rounds.get(this.conversation.id) ?? null;
  }

  isRunning(turn) {
    return Boolean(this.round?.running.has(turn.id));
  }

  /** Send a message of the user after the shown path; without a text, answer its last turn. */
  send(text) {
    const { conversation } = this;
    const last = pathOf(conversation).at(-1) ?? null;
    const turn = text ? addTurn(conversation, last?.id ?? null, { role: "user", content: text }) : last;
    conversation.draft = "";
    if (turn) this.answer(turn.id);
  }

  /** Answer a turn as the settings ask. */
  answer(parent) {
    const { asked, inTurn } = askedBy(this.conversation.settings);
    this.play(new Round(this.conversation, parent, asked, { inTurn }));
  }

  /** Add a branch with another text of the user, and answer it. */
  resend(turn, text) {
    const { parent, role } = turn;
    this.answer(addTurn(this.conversation, parent, { role, content: text }).id);
  }

  /** Add a branch with another text of an answer. */
  rewrite(turn, text) {
    const asked = { ...turn.asked, prefix: "", note: "" };
    const parts = { ...answerOf(this.conversation.settings), asked, content: text };
    const added = addTurn(this.conversation, turn.parent, { role: "assistant", ...parts });
    this.save();
    return added;
  }

  /**
   * Continue an answer from a text: add a branch whose beginning is given.
   *
   * @param {{tokens: object[], given: number} | null} begun the tokens of the text, if they are known
   */
  continueFrom(turn, text, begun = null) {
    this.play(new Round(this.conversation, turn.parent, [continuing(turn.asked, text)], { begun }));
  }

  /** Add the results of an answer's calls, and answer them. */
  sendResults(parent, results) {
    this.answer(addTurn(this.conversation, parent, { role: "tool", results }).id);
  }

  choose(turn) {
    choose(this.conversation, turn.id);
    this.save();
  }

  /** End the shown path after a turn, so that the next message begins a branch there. */
  branchAfter(turn) {
    choose(this.conversation, turn.id);
    turn.chosen = null;
    this.save();
  }

  removeTurn(turn) {
    this.round?.stop();
    removeTurn(this.conversation, turn.id);
    this.codeTurn = null;
    this.save();
  }

  stop() {
    this.round?.stop();
  }

  async play(round) {
    const { conversation } = round;
    this.rounds.get(conversation.id)?.stop();
    this.rounds.set(conversation.id, round);
    this.codeTurn = null;
    this.save();
    await round.run(this.changed);
    if (this.rounds.get(conversation.id) !== round) return;
    this.rounds.delete(conversation.id);
    this.save(conversation);
  }
}
