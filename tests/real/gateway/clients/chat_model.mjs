// What n8n's OpenAI Chat Model sends (n8n-nodes-langchain 2.41.1), with the same library.
import { readFileSync } from "node:fs";
import { ChatOpenAI } from "@langchain/openai";

const { options, responsesApiEnabled, model } = JSON.parse(readFileSync("node.json"));
const fields = {
  apiKey: process.env.OPENAI_API_KEY,
  model,
  maxTokens: options.maxTokens,
  temperature: options.temperature,
  timeout: options.timeout,
  maxRetries: options.maxRetries ?? 2,
  configuration: { baseURL: process.env.OPENAI_BASE_URL },
  modelKwargs: { ...options.extraBody },
  supportsStrictToolCalling: false,
};
if (responsesApiEnabled) fields.useResponsesApi = true;
const picture = readFileSync("photo.jpg").toString("base64");
const answer = await new ChatOpenAI(fields).invoke([
  {
    role: "user",
    content: [
      { type: "text", text: "Where is this?" },
      { type: "image_url", image_url: { url: `data:image/jpeg;base64,${picture}`, detail: "auto" } },
    ],
  },
]);
console.log(typeof answer.content === "string" ? answer.content : JSON.stringify(answer.content));
