/** The entry: tokens and base styles, then the app into #app. */
import { mount } from 'svelte'
import App from './App.svelte'
import './styles/tokens.css'
import './styles/base.css'

const target = document.getElementById('app')
if (target === null) throw new Error('the page has no #app')
mount(App, { target })
